// Short news in the corner, read out by screen readers.
export type Notice = { id: number; text: string; tone: 'good' | 'bad' | 'info'; href?: string };

class Notices {
  all = $state<Notice[]>([]);
  private last = 0;

  add(text: string, tone: Notice['tone'] = 'good', href?: string) {
    const id = ++this.last;
    this.all.push({ id, text, tone, href });
    if (this.all.length > 4) this.all.shift();
    setTimeout(() => this.drop(id), tone === 'bad' ? 12_000 : 6_000);
  }

  drop(id: number) {
    this.all = this.all.filter((n) => n.id !== id);
  }
}

export const notices = new Notices();
