// One clock for all "5 min ago" of the page.
class Clock {
  now = $state(Date.now());
  constructor() {
    setInterval(() => (this.now = Date.now()), 1000);
  }
}
export const clock = new Clock();
