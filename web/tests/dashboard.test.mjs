// The dashboard against a real server with real virtual nodes, in a real browser.  Run by tests/e2e/28-dashboard.sh, which
// says where everything is, and stops and starts the server when a file asks for it.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import axe from 'axe-core';
import { base, folder, launch, open, signIn } from './browser.mjs';

const env = process.env;
const admin = { name: 'admin@localhost', password: env.PLUVIO_PASSWORD };
const image = (version) => `${env.PLUVIO_IMAGES}/blinky-${version}.bin`;
let browser, page;

/** Asks the script that runs us to do something with the server, and waits until it is done. */
async function script(what) {
  writeFileSync(`${env.PLUVIO_ASK}`, what);
  for (let i = 0; existsSync(env.PLUVIO_ASK); i++) {
    assert.ok(i < 1200, `the script did not ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function rest(method, path, body, token) {
  const answer = await fetch(`${base}${path}`, { method, headers: { ...(token && { Authorization: token }) }, body: body && JSON.stringify(body) });
  return { status: answer.status, body: await answer.json().catch(() => ({})) };
}
const login = async (name, password) => (await rest('POST', '/v1/login2', { user_name: name, password })).body.accesstoken;

/** What rules of accessibility are broken in what is shown now. */
async function violations(where, on) {
  await on.evaluate(axe.source);
  const found = await on.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  return found.violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3).join(' | ')}`);
}
const accessible = async (where, on = page) => assert.deepEqual(await violations(where, on), []);

const at = (path) => page.goto(`${base}/#${path}`);
const heading = (name) => page.getByRole('heading', { level: 1, name }).waitFor();
const dialog = () => page.getByRole('dialog');
const row = (name) => page.getByRole('row').getByRole('link', { name, exact: true });
const state = (word) => page.locator(`[data-state-word="${word}"]`).first().waitFor();

async function addImage(path) {
  await at('/images?add=1');
  await dialog().getByLabel('Choose image files').setInputFiles(path);
  await dialog().getByRole('button', { name: 'Upload', exact: true }).click();
  await dialog().getByText('Uploaded and verified').waitFor();
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'hidden' });
}

/** Fills the page on which updates are started; the nodes by their ids. */
async function order(name, nodes, options = {}) {
  await at('/start');
  await heading('Start an update');
  await page.getByRole('combobox', { name: 'Image' }).locator(`option:has-text("${options.image}")`).first().waitFor({ state: 'attached' });
  await page.getByRole('combobox', { name: 'Image' }).selectOption(await page.getByRole('combobox', { name: 'Image' }).locator(`option:has-text("${options.image}")`).first().getAttribute('value'));
  await page.getByLabel('Name of the job').fill(name);
  if (nodes) {
    await page.getByRole('radio', { name: 'Named nodes' }).check();
    await page.getByRole('textbox', { name: /Node ids/ }).fill(nodes);
  }
  await page.getByRole('radio', { name: /^Everyone/ }).check();
  if (options.mode) await page.getByRole('radio', { name: options.mode }).check();
}

async function start() {
  await page.getByRole('button', { name: /^Start for/ }).click();
  await page.getByRole('tab', { name: 'Overview' }).waitFor();
  return /jobs\/([^?]+)/.exec(page.url())[1];
}

before(async () => {
  browser = await launch();
  page = await open(browser, { acceptDownloads: true });
});
after(async () => {
  await browser?.close();
});
/** Until nothing is being asked of the server any more; the event stream aside, which never ends. */
async function settled(on) {
  await on.evaluate(async () => {
    const quiet = () => performance.getEntriesByType('resource').length;
    for (let before = -1, same = 0; same < 3; before = quiet()) {
      same = before === quiet() && !document.querySelector('.animate-pulse') ? same + 1 : 0;
      await new Promise((done) => setTimeout(done, 50));
    }
  });
}

/** One part of the story.  What failed is left as a picture. */
function part(name, run, options = {}) {
  test(name, options, async () => {
    try {
      await run();
      assert.deepEqual([...page.problems.splice(0), ...page.foreign.splice(0)], [], 'in the page');
    } catch (problem) {
      await page.screenshot({ path: `${folder('failed')}/${name.replaceAll(/\W+/g, '-')}.png` }).catch(() => {});
      throw problem;
    }
  });
}

part('a wrong password is refused in words, the right one lets in', async () => {
  await page.goto(base);
  await page.getByLabel('User name').waitFor();
  await accessible('sign-in');
  await page.getByLabel('User name').fill(admin.name);
  await page.getByLabel('Password').fill('Wrong-1234');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('alert').waitFor();
  await signIn(page, admin.name, admin.password);
  await heading('Overview');
  await page.locator('[data-live="live"]').waitFor();
});

part('an empty fleet has three steps; simulated nodes come, take part, and go', async () => {
  await page.getByText('Three steps to a first update').waitFor();
  await accessible('first steps');
  await page.getByRole('button', { name: 'Simulate 1,000 nodes' }).click();
  await dialog().getByLabel('Nodes', { exact: true }).fill('40');
  await dialog().getByLabel('Fail their trial').fill('10');
  await dialog().getByRole('button', { name: 'Simulate 40 nodes' }).click();
  await page.getByText('40 nodes are registered').waitFor();
  await page.getByRole('button', { name: 'Use a sample' }).click();
  await page.getByText('2 images can be given').waitFor();
  await page.getByRole('link', { name: /Nodes online\s*40/ }).waitFor();
  await order('Play', '', { image: 'sample-1.1.0' });
  await page.locator('[data-audience="40"]').waitFor();
  await page.getByRole('textbox', { name: /^Rollout/ }).fill('phase 10% ended 100% success 50%; phase 100%; retry 0');
  await page.getByRole('button', { name: 'Play it through' }).click();
  await page.getByText('Ends after about').waitFor();
  await accessible('start');
  await start();
  await page.locator('[aria-label="Phases"] [aria-current="step"]').first().waitFor();
  await page.getByText(/Finished/).first().waitFor({ timeout: 60_000 });
  await accessible('job');
  await at('/settings');
  await page.getByText('running here').waitFor();
  await page.getByRole('button', { name: /^Remove/ }).click();
  await page.getByText('Real nodes are not touched').waitFor();
  await dialog().getByRole('button', { name: 'Remove' }).click();
  await dialog().waitFor({ state: 'hidden' });
  await page.getByRole('region', { name: 'Simulators' }).getByText('None.').waitFor();
  await at('/nodes?query=' + encodeURIComponent('id ~ "sim-*"'));
  await page.getByText('No node fits').waitFor();
});

part('images: read before they leave, damaged ones are told, good ones are kept', async () => {
  await script('nodes');
  await at('/images?add=1');
  const cut = readFileSync(image('1.1.0')).subarray(0, 200_000);
  await dialog().getByLabel('Choose image files').setInputFiles([
    { name: 'cut.bin', mimeType: 'application/octet-stream', buffer: cut }, { name: 'blinky-1.1.0.bin', mimeType: 'application/octet-stream', buffer: readFileSync(image('1.1.0')) },
  ]);
  const bad = dialog().locator('[data-upload="cut"]');
  await bad.getByText('All segments are there: failed').waitFor();
  assert.ok(await bad.getByRole('button', { name: 'Upload', exact: true }).isDisabled());
  const good = dialog().locator('[data-upload="blinky-1.1.0"]');
  await good.getByText('SHA-256: passed').waitFor();
  assert.equal(await good.locator('dd').first().textContent(), '1.1.0');
  await accessible('add images');
  await good.getByRole('button', { name: 'Upload', exact: true }).click();
  await good.getByText('Uploaded and verified').waitFor();
  await page.keyboard.press('Escape');
  await addImage(image('1.2.0'));
  await addImage(image('1.0.0'));
  await row('blinky-1.1.0').click();
  await heading('blinky-1.1.0');
  await page.getByText(/nodes, \d+ of them online/).waitFor();
  await accessible('image');
});

part('an upload that was cut goes on where it broke off', async () => {
  let pieces = 0;
  await page.route('**/v1/uploads/**', (route) => (route.request().method() === 'PATCH' && ++pieces === 3 ? route.abort('connectionreset') : route.continue()));
  await at('/images?add=1');
  const big = Buffer.alloc(2_000_000, 7);
  await dialog().getByLabel('Choose image files').setInputFiles({ name: 'blob.bin', mimeType: 'application/octet-stream', buffer: big });
  await dialog().getByLabel('Version').fill('7');
  await dialog().getByLabel(/^Model/).fill('host');
  await dialog().getByRole('button', { name: 'Upload', exact: true }).click();
  await dialog().getByText('Uploaded and verified').or(dialog().getByRole('alert')).waitFor();
  assert.equal(await dialog().getByRole('alert').count(), 0, await dialog().innerText());
  await page.unroute('**/v1/uploads/**');
  assert.equal(pieces, 5);
  await page.keyboard.press('Escape');
});

part('groups by query, and by name', async () => {
  await at('/groups?add=1');
  await dialog().getByLabel('Name', { exact: true }).fill('Lamps of 1.0.0');
  await dialog().getByRole('radio', { name: 'By a query' }).check();
  await dialog().getByLabel('Nodes that fit').fill('fw_version = ');
  await dialog().getByRole('alert').waitFor();
  await dialog().getByLabel('Nodes that fit').fill('project = blinky and fw_version = 1.0.0');
  await dialog().getByText('3 nodes fit now, 3 of them online').waitFor();
  await accessible('make a group');
  await dialog().getByRole('button', { name: 'Make it' }).click();
  await heading('Lamps of 1.0.0');
  await row('n2').waitFor();
  await accessible('group');
  await at('/groups?add=1');
  await dialog().getByLabel('Name', { exact: true }).fill('Named');
  await dialog().getByLabel(/Node ids/).fill('n1, n2');
  await dialog().getByRole('button', { name: 'Make it' }).click();
  await heading('Named');
  await page.locator('[data-id="n2"]').getByRole('button', { name: 'Take out' }).click();
  await page.locator('[data-id="n2"]').waitFor({ state: 'hidden' });
  await page.locator('[data-id="n1"]').waitFor();
});

part('a job with every option runs to its end while one watches', async () => {
  await at('/start');
  await order('All options', '', { image: 'blinky-1.1.0' });
  await page.getByLabel('Description, for people').fill('Brighter light');
  await page.getByRole('radio', { name: 'Nodes that fit' }).check();
  await page.getByLabel('Nodes that fit', { exact: true }).last().fill('project = blinky');
  await page.locator('[data-audience="3"]').waitFor();
  await page.getByLabel('But not those that fit').fill('id = n3');
  await page.locator('[data-audience="2"]').waitFor();
  await page.getByLabel('Download window begins').fill('00:00');
  await page.getByLabel('… and ends').fill('23:59');
  await page.getByLabel('Not after').fill('2099-01-01T00:00');
  await page.getByRole('spinbutton', { name: /Priority/ }).fill('3');
  await page.getByLabel('Ends by itself').fill('2');
  await page.getByRole('textbox', { name: /^Rollout/ }).fill('phase 1 nodes success 100%; phase 100%; abort any 50% min 5 pause');
  await page.getByLabel('At work at a time').fill('2');
  await page.getByLabel('Bytes a second').fill('50M');
  await page.getByLabel('Retries').fill('1');
  await page.getByLabel('Few at a time').check();
  await page.getByLabel('Nodes at a time in a network').fill('5');
  await page.getByRole('textbox', { name: /Metadata/ }).fill('{"colour": "warm"}');
  await page.getByText('As a command').last().click();
  assert.match(await page.getByText(/pluvio job start --image/).first().textContent(), /--priority 3/);
  const id = await start();
  await page.locator('[data-succeeded="2"]').waitFor({ timeout: 120_000 });
  const token = await login(admin.name, admin.password);
  const { body: job } = await rest('GET', `/v1/admin/otajob?ota_job_id=${id}`, undefined, token);
  assert.equal(job.priority, 3);
  assert.equal(job.description, 'Brighter light');
  assert.match(job.rollout, /phase 1 nodes.*in-flight 2; bytes 50M\/s; retry 1 backoff 10m/);
  assert.equal(job.metadata.colour, 'warm');
  assert.deepEqual(job.metadata.download_window, { start: 0, end: 1439 });
  assert.equal(job.network_serialised, true);
  await page.getByRole('tab', { name: 'Settings' }).click();
  await page.getByText('Brighter light').waitFor();
  await page.getByRole('tab', { name: 'Events' }).click();
  await page.getByText('success', { exact: false }).first().waitFor();
  await accessible('events');
});

part('pause, edit, resume, leave out, cancel: each says what follows', async () => {
  await order('To be stopped', 'n1, n2, n3', { image: 'blinky-1.0.0', mode: 'When nodes ask' });
  await page.getByRole('textbox', { name: /^Rollout/ }).fill('rate 1/h');
  const id = await start();
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await dialog().getByText('offered to nobody until it is resumed').waitFor();
  await dialog().getByLabel('Why').fill('lunch');
  await accessible('pause');
  await dialog().getByRole('button', { name: 'Pause' }).click();
  await state('Paused');
  await page.getByText('lunch').waitFor();
  await page.getByRole('button', { name: 'Edit' }).click();
  await dialog().getByRole('textbox', { name: 'Rollout' }).fill('rate 2/h');
  await dialog().getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Resume' }).click();
  await dialog().getByRole('button', { name: 'Resume' }).click();
  await state('Active');
  await page.getByRole('button', { name: 'Leave nodes out' }).click();
  await dialog().getByLabel('Nodes that fit').fill('id = n3');
  await dialog().getByRole('button', { name: 'Leave them out' }).click();
  await dialog().waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await dialog().getByText('cannot be resumed').waitFor();
  await dialog().getByRole('button', { name: 'Cancel the job' }).click();
  await state('Cancelled');
  const token = await login(admin.name, admin.password);
  const { body: job } = await rest('GET', `/v1/admin/otajob?ota_job_id=${id}`, undefined, token);
  assert.equal(job.status, 'cancelled');
  assert.equal(job.rollout, 'rate 2/h');
  assert.equal(job.exclude, 'id = n3');
});

part("a rollback's story is told, and why", async () => {
  await order('Bad one', 'n1', { image: 'blinky-1.2.0' });
  await page.getByLabel('Retries').fill('0');
  await start();
  await page.getByRole('list', { name: 'Nodes by state' }).getByText('Rolled back').waitFor({ timeout: 120_000 });
  await page.getByRole('region', { name: 'Failures' }).getByText(/rolled back/i).first().waitFor();
  await page.getByRole('link', { name: /Rolled back\s*1/ }).click();
  await page.getByRole('button', { name: 'n1' }).click();
  await dialog().getByRole('heading', { name: 'n1' }).waitFor();
  for (const word of ['Offered', 'Rebooting', 'Rolled back']) await dialog().locator('ol').getByText(word, { exact: true }).first().waitFor();
  await dialog().getByRole('region', { name: 'Why' }).locator('p').first().waitFor();
  await dialog().getByText('said by the node').first().waitFor();
  await accessible('side sheet');
  await dialog().getByRole('link', { name: "The node's page" }).click();
  await heading('Blinky');
  await page.getByRole('region', { name: 'Updates' }).getByText('Bad one').click();
  await dialog().getByText('in Bad one').waitFor();
  await page.keyboard.press('Escape');
  await accessible('node');
});

part('keys sign images', async () => {
  await at('/keys?add=1');
  await dialog().getByLabel('Name', { exact: true }).fill('factory');
  await dialog().getByLabel('Kind').selectOption('ECC_NIST_P256');
  await dialog().getByRole('button', { name: 'Make it' }).click();
  await page.getByRole('heading', { name: 'factory' }).waitFor();
  await accessible('keys');
  await at('/images');
  await row('blinky-1.1.0').click();
  await page.getByRole('button', { name: 'Sign', exact: true }).click();
  await dialog().getByLabel('factory').check();
  await dialog().getByRole('button', { name: 'Sign', exact: true }).click();
  await page.getByRole('link', { name: 'Signed, as an image of its own' }).click();
  await page.getByRole('region', { name: 'Signatures' }).getByText('It carries signatures by factory').waitFor();
});

part('users, tokens and webhooks; the audit log has it all, whole', async () => {
  await at('/users');
  for (const [name, role] of [['viewer@example.com', 'viewer'], ['olga@example.com', 'user']]) {
    await page.getByRole('button', { name: 'Make a user' }).click();
    await dialog().getByLabel('User name').fill(name);
    await dialog().getByLabel(/^Password/).fill('Vie-w3r-pass');
    await dialog().getByRole('combobox', { name: 'Role' }).selectOption(role);
    await dialog().getByRole('button', { name: 'Make', exact: true }).click();
    await page.getByRole('cell', { name, exact: true }).waitFor();
  }
  await page.getByRole('button', { name: 'Make a token' }).click();
  await dialog().getByLabel('What it is for').fill('nightly');
  await dialog().getByRole('button', { name: 'Make', exact: true }).click();
  await dialog().getByText('It is shown once').waitFor();
  await dialog().getByRole('button', { name: 'Done' }).click();
  await page.getByText('nightly').first().waitFor();
  await accessible('users');
  await at('/settings');
  await page.getByRole('button', { name: 'Add a webhook' }).click();
  await dialog().getByRole('textbox', { name: 'URL' }).fill('https://example.com/hook');
  await dialog().getByRole('button', { name: 'Add', exact: true }).click();
  await dialog().getByText('shown once').waitFor();
  await dialog().getByRole('button', { name: 'Done' }).click();
  await page.getByText('https://example.com/hook').waitFor();
  await page.getByRole('button', { name: 'Deliveries' }).click();
  await dialog().getByLabel('Send again from event').fill('1');
  await dialog().getByRole('button', { name: 'Replay' }).click();
  await page.getByText('Sent again from there').waitFor();
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'hidden' });
  await page.getByRole('region', { name: 'Webhooks' }).getByRole('button', { name: 'Delete' }).click();
  await dialog().getByRole('button', { name: 'Delete' }).click();
  await page.getByText('https://example.com/hook', { exact: true }).waitFor({ state: 'hidden' });
  await accessible('settings');
  await at('/audit');
  await page.getByRole('button', { name: 'webhook.add' }).click();
  await dialog().getByRole('heading', { name: 'The entry' }).waitFor();
  await accessible('audit entry');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Verify the chain' }).click();
  await page.getByText(/All \d+ entries are as they were written/).waitFor();
  await accessible('audit');
});

part('a viewer sees no verbs', async () => {
  const other = await open(browser);
  await signIn(other, 'viewer@example.com', 'Vie-w3r-pass');
  const verbs = /^(Start|Add|Make|Register|Simulate|Update|Delete|Cancel$|Pause$|Resume|Sign$|Archive$|Tag|Edit|Leave|Remove|Throw|Put)/;
  const jobs = await (async () => (await rest('GET', '/v1/admin/otajob', undefined, await login('viewer@example.com', 'Vie-w3r-pass'))).body.ota_jobs)();
  for (const [path, title] of [['/', 'Overview'], ['/images', 'Images'], ['/jobs', 'Jobs'], [`/jobs/${jobs[0].ota_job_id}`, jobs[0].ota_job_name], ['/nodes', 'Nodes'], ['/nodes/n1', /./], ['/groups', 'Groups'], ['/keys', 'Keys'], ['/settings', 'Settings']]) {
    await other.goto(`${base}/#${path}`);
    await other.getByRole('heading', { level: 1, name: title }).waitFor();
    await settled(other);
    const names = await other.locator('#main').getByRole('button').or(other.locator('#main a.btn')).allTextContents();
    assert.deepEqual(names.filter((n) => verbs.test(n.trim())), [], path);
  }
  assert.deepEqual(other.problems, []);
  await other.context().close();
});

part('an end user says yes to an update', async () => {
  const token = await login(admin.name, admin.password);
  const user = (await rest('GET', '/v1/admin/users?user_name=olga@example.com', undefined, token)).body.users[0];
  assert.equal((await rest('PUT', `/v1/admin/users/${user.user_id}/nodes/n3/mapping`, undefined, token)).status, 200);
  await order('With a yes', 'n3', { image: 'blinky-1.1.0', mode: 'After the user’s yes' });
  await page.getByLabel('Description, for people').fill('Warmer light in the evening');
  await start();
  const other = await open(browser, { viewport: { width: 390, height: 780 } });
  await signIn(other, 'olga@example.com', 'Vie-w3r-pass');
  await other.getByText('Warmer light in the evening').waitFor();
  await accessible('approval', other);
  await other.screenshot({ path: `${folder('phone-light')}/approve.png` });
  assert.equal(await other.getByRole('navigation').count(), 0);
  await other.getByRole('button', { name: 'Update now' }).click();
  await other.getByText('Success', { exact: true }).waitFor({ timeout: 120_000 });
  assert.deepEqual(other.problems, []);
  await other.context().close();
  await page.locator('[data-succeeded="1"]').waitFor();
});

part('the stream is cut and restored; the server restarts; nothing is missed', async () => {
  await at('/nodes/n1');
  await heading(/./);
  await page.locator('[data-live="live"]').waitFor();
  await script('stop');
  await page.locator('[data-live="lost"]').waitFor();
  await script('start');
  await page.locator('[data-live="live"]').waitFor({ timeout: 60_000 });
  const token = await login(admin.name, admin.password);
  assert.equal((await rest('PUT', '/v1/admin/nodes?node_id=n1', { tags: ['site:rome'] }, token)).status, 200);
  await page.getByText('site:rome').waitFor();
  await page.context().setOffline(true);
  await page.evaluate(() => 0);
  assert.equal((await rest('PUT', '/v1/admin/nodes?node_id=n1', { tags: ['floor:2'] }, token)).status, 200);
  await page.context().setOffline(false);
  await page.getByText('floor:2').waitFor({ timeout: 60_000 });
});

part('by keyboard alone', async () => {
  const keys = async (...all) => {
    for (const key of all) await page.keyboard.press(key);
  };
  const tabTo = async (name, role = 'button') => {
    for (let i = 0; i < 120; i++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(([n, r]) => {
        const e = document.activeElement;
        const text = (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || '').trim();
        return text.startsWith(n) && (r === 'button' ? /^(BUTTON|A)$/ : /^(INPUT|SELECT|TEXTAREA)$/).test(e.tagName);
      }, [name, role])) return;
    }
    assert.fail(`Tab never came to ${name}`);
  };
  // Sign out and in
  await at('/');
  await heading('Overview');
  await tabTo('Sign out');
  await keys('Enter');
  await page.getByLabel('User name').waitFor();
  await tabTo('User name', 'field');
  await page.keyboard.type(admin.name);
  await keys('Tab');
  await page.keyboard.type(admin.password);
  await keys('Enter');
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  // The list of keys
  await keys('?');
  await dialog().getByText('Search and commands').waitFor();
  await accessible('keys of the page');
  await keys('Escape');
  await dialog().waitFor({ state: 'hidden' });
  // A new update: choose, name, push to one node
  await keys('n');
  await heading('Start an update');
  await page.getByRole('combobox', { name: 'Image' }).locator('option').nth(3).waitFor({ state: 'attached' });
  await tabTo('Image', 'field');
  await page.keyboard.type('blinky-1.0.0');
  await tabTo('Name of the job', 'field');
  await page.keyboard.type('By keys');
  await tabTo('Every node', 'field');
  await keys('ArrowRight', 'ArrowRight', 'ArrowRight');
  await tabTo('Node ids', 'field');
  await page.keyboard.type('n2');
  await tabTo('Push at once', 'field');
  await keys('ArrowRight');
  await page.getByRole('button', { name: /^Start for/ }).waitFor();
  await tabTo('Start for');
  await keys('Enter');
  await heading('By keys');
  // Pause, resume, cancel
  await page.evaluate(() => document.activeElement.blur());
  await keys('p');
  await dialog().waitFor();
  await tabTo('Pause');
  await keys('Enter');
  await state('Paused');
  await dialog().waitFor({ state: 'hidden' });
  await keys('p');
  await dialog().waitFor();
  await tabTo('Resume');
  await keys('Enter');
  await state('Active');
  await dialog().waitFor({ state: 'hidden' });
  // Its nodes: down, open, close
  await keys('2');
  await page.locator('[data-id="n2"]').waitFor();
  await keys('j', 'Enter');
  await dialog().getByRole('heading', { name: 'n2' }).waitFor();
  await keys('Escape');
  await dialog().waitFor({ state: 'hidden' });
  await keys('c');
  await dialog().waitFor();
  await tabTo('Cancel the job');
  await keys('Enter');
  await state('Cancelled');
  await dialog().waitFor({ state: 'hidden' });
  // Search
  await keys('Control+k');
  await page.keyboard.type('n3'); // at once: what is typed before it is there is not lost
  await page.getByRole('option', { name: /^n3/ }).waitFor();
  await accessible('search');
  await keys('Enter');
  await page.waitForURL(/nodes\/n3/);
  // An image: the file itself is chosen in a window of the system's, the rest is keys
  await keys('g', 'i');
  await heading('Images');
  await page.evaluate(() => document.activeElement.blur());
  await tabTo('Add images');
  await keys('Enter');
  await dialog().waitFor();
  await tabTo('Choose image files', 'field');
  await page.locator(':focus').setInputFiles({ name: 'by-keys.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(3000, 5) });
  await dialog().getByText('Raw file').first().waitFor({ state: 'attached' });
  await tabTo('Model', 'field');
  await page.keyboard.type('keys');
  await tabTo('Version', 'field');
  await page.keyboard.type('1');
  await tabTo('Upload');
  await keys('Enter');
  await dialog().getByText('Uploaded and verified').waitFor();
  await keys('Escape');
  await dialog().waitFor({ state: 'hidden' });
  // A group by query
  await keys('g', 'g');
  await heading('Groups');
  await page.evaluate(() => document.activeElement.blur());
  await tabTo('Make a group');
  await keys('Enter');
  await tabTo('Name', 'field');
  await page.keyboard.type('By keys');
  await tabTo('By name', 'field');
  await keys('ArrowRight');
  await tabTo('Nodes that fit', 'field');
  await page.keyboard.type('id = n2');
  await dialog().getByText('1 node fits now').waitFor();
  await tabTo('Make it');
  await keys('Enter');
  await heading('By keys');
  // A key, and an image signed with it
  await keys('g', 'k');
  await heading('Keys');
  await page.evaluate(() => document.activeElement.blur());
  await tabTo('Make a key');
  await keys('Enter');
  await tabTo('Name', 'field');
  await page.keyboard.type('second');
  await tabTo('Kind', 'field');
  await keys('ArrowDown');
  await tabTo('Make it');
  await keys('Enter');
  await page.getByRole('heading', { name: 'second' }).waitFor();
  await dialog().waitFor({ state: 'hidden' });
  await keys('Control+k');
  await page.keyboard.type('blinky-1.0.0');
  await page.getByRole('option', { name: /^blinky-1.0.0/ }).first().waitFor();
  await keys('Enter');
  await heading(/^blinky-1.0.0/);
  await page.evaluate(() => document.activeElement.blur());
  await tabTo('Sign');
  if (await page.evaluate(() => document.activeElement.textContent.trim() === 'Sign out')) await tabTo('Sign');
  await keys('Enter');
  await tabTo('second', 'field');
  await keys('Space');
  await tabTo('Sign');
  await keys('Enter');
  await page.getByText('Signed, as an image of its own').waitFor();
  // To each section
  for (const [key, title] of [['o', 'Overview'], ['i', 'Images'], ['j', 'Jobs'], ['n', 'Nodes'], ['g', 'Groups'], ['k', 'Keys'], ['u', 'Users'], ['a', 'Audit'], ['s', 'Settings']]) {
    await keys('g', key);
    await heading(title);
  }
});

part('every page, light and dark, desktop and phone', async () => {
  const token = await login(admin.name, admin.password);
  const jobs = (await rest('GET', '/v1/admin/otajob', undefined, token)).body.ota_jobs;
  const images = (await rest('GET', '/v1/admin/otaimage', undefined, token)).body.ota_images;
  const groups = (await rest('GET', '/v1/admin/node_group', undefined, token)).body.groups;
  const bad = jobs.find((j) => j.ota_job_name === 'Bad one').ota_job_id;
  const pages = {
    overview: '/', images: '/images', 'add-images': '/images?add=1', image: `/images/${images[0].ota_image_id}`, start: '/start', jobs: '/jobs', job: `/jobs/${bad}`, 'job-nodes': `/jobs/${bad}?tab=nodes`, 'job-node': `/jobs/${bad}?tab=nodes&node=n1`,
    nodes: '/nodes', node: '/nodes/n1', groups: '/groups', group: `/groups/${groups[0].group_id}`, keys: '/keys', users: '/users', audit: '/audit', settings: '/settings',
  };
  const wrong = [];
  for (const theme of ['light', 'dark'])
    for (const [device, viewport] of [['desktop', { width: 1280, height: 800 }], ['phone', { width: 360, height: 740 }]]) {
      const other = await open(browser, { viewport, colorScheme: theme });
      await other.goto(base);
      await other.getByLabel('User name').waitFor();
      await other.screenshot({ path: `${folder(`${device}-${theme}`)}/sign-in.png` });
      await signIn(other, admin.name, admin.password);
      for (const [name, path] of Object.entries(pages)) {
        await other.goto(`${base}/#${path}`);
        await other.getByRole('heading', { level: 1 }).waitFor();
        await settled(other);
        await other.screenshot({ path: `${folder(`${device}-${theme}`)}/${name}.png` });
        wrong.push(...(await violations(`${name}, ${theme}, ${device}`, other)));
        const over = await other.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) wrong.push(`${name} is ${over} pixels too wide on a ${device}`);
      }
      wrong.push(...other.problems, ...other.foreign);
      await other.context().close();
    }
  assert.deepEqual(wrong, []);
});
