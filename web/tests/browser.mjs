// What the dashboard's tests and its bench share: Debian's Chromium, and a page that is watched for errors.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

export const base = process.env.PLUVIO_URL ?? 'http://127.0.0.1:8080';

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** A page of its own; what goes wrong in it is collected in `page.problems`. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(45_000); // machines that run other tests meanwhile
  page.problems = [];
  page.foreign = [];
  page.on('pageerror', (e) => page.problems.push(`error: ${e.message}`));
  page.on('console', (m) => {
    if (m.type() === 'error' && !/Failed to load resource|net::ERR/.test(m.text())) page.problems.push(`console: ${m.text()}`);
  });
  page.on('request', (r) => {
    if (!r.url().startsWith(base) && !r.url().startsWith('blob:')) page.foreign.push(r.url());
  });
  return page;
}

export async function signIn(page, name, password) {
  await page.goto(`${base}/`);
  await page.getByLabel('User name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
}

export function folder(name) {
  const path = `${process.env.PLUVIO_SHOTS ?? 'build/screenshots'}/${name}`;
  mkdirSync(path, { recursive: true });
  return path;
}
