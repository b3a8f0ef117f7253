// Light or dark: the system's choice until one chooses otherwise.
const system = matchMedia('(prefers-color-scheme: dark)');

class Theme {
  isDark = $state((localStorage.getItem('theme') ?? (system.matches ? 'dark' : 'light')) === 'dark');

  constructor() {
    this.show();
    system.addEventListener('change', (e) => {
      if (localStorage.getItem('theme')) return;
      this.isDark = e.matches;
      this.show();
    });
  }

  private show() {
    document.documentElement.dataset.theme = this.isDark ? 'dark' : 'light';
  }

  flip() {
    this.isDark = !this.isDark;
    localStorage.setItem('theme', this.isDark ? 'dark' : 'light');
    this.show();
  }
}

export const theme = new Theme();
