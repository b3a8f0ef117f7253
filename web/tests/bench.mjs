// Figures of the dashboard for people: bench.mjs load|list|events.  PLUVIO_URL, PLUVIO_PASSWORD; run by scripts/bench.sh.
import { base, launch, open, signIn } from './browser.mjs';

const admin = 'admin@localhost', password = process.env.PLUVIO_PASSWORD;
const browser = await launch();
const sorted = (list) => [...list].sort((a, b) => a - b);
const quantile = (list, q) => sorted(list)[Math.min(list.length - 1, Math.floor(q * list.length))];
const round = (n) => Math.round(n * 10) / 10;

/** What comes over the wire at a first load, and when the page can be used; a blank page of the same browser beside it. */
async function load() {
  const times = [], blank = [];
  let script = 0, font = 0;
  for (let i = 0; i < 7; i++) {
    const page = await open(browser);
    await page.goto('about:blank');
    const from = performance.now();
    await page.goto(`${base}/icon.svg`);
    blank.push(performance.now() - from);
    await signIn(page, admin, password);
    const state = await page.context().storageState();
    await page.context().close();
    const cold = await open(browser, { storageState: state }); // an empty cache
    await cold.addInitScript(() => {
      const look = () => {
        // The heading stands, and links and buttons have their listeners: they are made with them.
        if (document.querySelector('main h1') && document.querySelector('nav a')) globalThis.usable ??= performance.now();
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    await cold.goto(`${base}/`);
    await cold.waitForFunction(() => globalThis.usable);
    times.push(await cold.evaluate(() => globalThis.usable));
    await cold.waitForFunction(() => document.fonts.status === 'loaded');
    const files = await cold.evaluate(() => performance.getEntriesByType('resource').map((r) => [r.name, r.encodedBodySize]));
    const sum = (fits) => files.filter(([name]) => fits.test(name)).reduce((n, [, size]) => n + size, 0);
    script = sum(/\.(js|css)$/);
    font = sum(/\.woff2$/);
    await cold.context().close();
  }
  console.log(`dashboard, first load       ${Math.round(script / 1024)} KB of script and style, gzip; the font ${Math.round(font / 1024)} KB apart   [limit 150 KB]`);
  console.log(`dashboard, first interactive ${Math.round(quantile(times, 0.5))} ms, median of ${times.length} with an empty cache; one icon alone ${Math.round(quantile(blank, 0.5))} ms   [limit 500 ms]`);
}

/** A list of a million: scrolled from screen to screen, and filtered.  A blocked frame is a task of 50 ms or more. */
async function list() {
  const page = await open(browser);
  await page.addInitScript(() => {
    globalThis.tasks = [];
    new PerformanceObserver((l) => globalThis.tasks.push(...l.getEntries().map((e) => e.duration))).observe({ type: 'longtask', buffered: true });
  });
  await signIn(page, admin, password);
  await page.goto(`${base}/#/nodes`);
  await page.locator('[data-row="10"]').waitFor();
  await page.evaluate(() => (globalThis.tasks.length = 0));
  const frames = await page.evaluate(async () => {
    const box = document.querySelector('[role="table"]');
    const gaps = [];
    let before = performance.now(), rows = 0;
    for (const end = before + 12_000; performance.now() < end; ) {
      box.scrollTop += 1500; // 34 rows a frame
      await new Promise((done) => requestAnimationFrame(done));
      const now = performance.now();
      gaps.push(now - before);
      before = now;
      rows = box.scrollTop / 44;
    }
    return { gaps, rows };
  });
  const scroll = await page.evaluate(() => globalThis.tasks.splice(0));
  const waits = [];
  for (const query of ['fw_version = 1.5', 'id ~ "*999"', 'online = true', 'model = nothing']) {
    const from = performance.now();
    await page.getByLabel('Nodes that fit', { exact: true }).fill(query);
    await page.keyboard.press('Enter');
    await page.locator('[data-row="0"], :text("No node fits")').first().waitFor();
    await page.waitForFunction(() => !document.querySelector('.animate-pulse'));
    waits.push(performance.now() - from);
  }
  const filter = await page.evaluate(() => globalThis.tasks.splice(0));
  const worst = (tasks) => Math.round(Math.max(0, ...tasks));
  console.log(`dashboard, a million nodes  ${Math.round(frames.rows)} rows scrolled in 12 s: ${scroll.length} blocked frames (longest ${worst(scroll)} ms), median frame ${round(quantile(frames.gaps, 0.5))} ms, 99th percentile ${round(quantile(frames.gaps, 0.99))} ms; filters: ${filter.length} blocked (longest ${worst(filter)} ms), answers after ${waits.map((w) => Math.round(w)).join(', ')} ms   [limit 0 over 50 ms]`);
}

/** From an event's own time to the frame that shows it, while a job moves a simulated fleet. */
async function events() {
  const page = await open(browser);
  await page.addInitScript(() => {
    globalThis.measures = [];
    new PerformanceObserver((l) => globalThis.measures.push(...l.getEntries().filter((e) => e.name === 'event-to-pixel').map((e) => [e.startTime, e.duration, e.detail]))).observe({ type: 'measure' });
  });
  await signIn(page, admin, password);
  await page.goto(`${base}/#/jobs/${process.env.PLUVIO_JOB}?tab=nodes`);
  await page.locator('[data-row="10"]').waitFor();
  await page.waitForTimeout(5000); // until the job is in full swing
  const [from] = await page.evaluate(() => [performance.now(), (globalThis.measures.length = 0)]);
  await page.waitForTimeout(20_000);
  const { all, now } = await page.evaluate(() => ({ all: globalThis.measures, now: performance.now() }));
  const total = all.reduce((n, m) => n + m[2], 0);
  const lags = all.flatMap(([, duration, n]) => Array(n).fill(duration)); // each event as late as the oldest of its batch
  console.log(`dashboard, event to pixel   ${Math.round(total / ((now - from) / 1000))} events/s: median ${Math.round(quantile(lags, 0.5))} ms, 99th percentile ${Math.round(quantile(lags, 0.99))} ms   [limit 250 ms at 1000 events/s]`);
}

try {
  await { load, list, events }[process.argv[2]]();
} finally {
  await browser.close();
}
