// A small image for simulated nodes: whole and correct in form, with nothing in it to run.  Its project is one that no
// real node has, so that no real node is offered it.
export const sampleProject = 'pluvio-sample';

const CHIP_ESP32C3 = 5;
const DROM = 0x3c000020;

export async function sampleImage(version: string): Promise<File> {
  const size = 64 * 1024;
  const body = 24 + 8 + size;
  const end = (body & ~15) + 16;
  const all = new Uint8Array(end);
  const view = new DataView(all.buffer);
  const text = (at: number, s: string) => all.set(new TextEncoder().encode(s), at);
  all.set([0xe9, 1, 2, 0x2f]);
  view.setUint32(4, DROM + 0x100, true);
  view.setUint16(12, CHIP_ESP32C3, true);
  all[23] = 1; // a digest follows
  view.setUint32(24, DROM, true);
  view.setUint32(28, size, true);
  for (let i = 288; i < body; i++) all[i] = (i * 31) & 0xff;
  view.setUint32(32, 0xabcd5432, true);
  text(48, version);
  text(80, sampleProject);
  text(112, '00:00:00');
  text(128, 'Jan  1 2026');
  text(144, 'none');
  let sum = 0xef;
  for (let i = 32; i < body; i++) sum ^= all[i];
  all[end - 1] = sum;
  const digest = await crypto.subtle.digest('SHA-256', all);
  return new File([all, digest], `sample-${version}.bin`);
}
