'use strict';
/*
 * The dashboard's first page: images, jobs, one job's nodes, all live.
 *
 * No library: a few hundred lines over REST and the event stream.  Values are put into the page as text, never as HTML.
 * The token stays in sessionStorage; it goes into a header, so that no other page can use it.
 */

const session = {
  get token() { return sessionStorage.getItem('access'); },
  get refresh() { return sessionStorage.getItem('refresh'); },
  set(answer, name) {
    sessionStorage.setItem('access', answer.accesstoken);
    sessionStorage.setItem('refresh', answer.refreshtoken);
    if (name) sessionStorage.setItem('name', name);
  },
  clear() { sessionStorage.clear(); },
};

// --- REST ------------------------------------------------------------------------------------------------------------

class Failure extends Error {}

async function send(method, path, body) {
  const headers = { 'Content-Type': 'application/json' };
  if (session.token) headers.Authorization = session.token;
  return fetch(path, { method, headers, body: body && JSON.stringify(body) });
}

async function renew() {
  if (!session.refresh) return false;
  const answer = await fetch('/v1/login2', { method: 'POST', body: JSON.stringify({ refreshtoken: session.refresh }) });
  if (!answer.ok) return false;
  session.set(await answer.json());
  return true;
}

async function call(method, path, body) {
  let answer = await send(method, path, body);
  if (answer.status === 401 && session.token && await renew()) answer = await send(method, path, body);
  const json = await answer.json().catch(() => ({}));
  if (answer.status === 401 && path !== '/v1/login2') { signOut(); throw new Failure('Your session has ended.'); }
  if (!answer.ok) throw new Failure(json.description || `The server answered ${answer.status}.`);
  return json;
}

// --- elements ---------------------------------------------------------------------------------------------------------

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'class') node.className = value;
    else if (key === 'width') node.style.width = value;
    else if (value !== false && value != null) node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat().filter((c) => c != null && c !== false));
  return node;
}

const main = document.getElementById('main');
const show = (...nodes) => main.replaceChildren(...nodes.filter(Boolean));
const bytes = (n) => n >= 1 << 20 ? `${(n / (1 << 20)).toFixed(1)} MB` : `${Math.round(n / 1024)} KB`;

function ago(seconds) {
  const s = Math.max(0, Math.floor(Date.now() / 1000 - seconds));
  if (!seconds) return '–';
  return s < 60 ? `${s} s ago` : s < 3600 ? `${Math.floor(s / 60)} min ago` : s < 86400 ? `${Math.floor(s / 3600)} h ago` : new Date(seconds * 1000).toLocaleDateString();
}

function when(seconds) {
  return el('time', { datetime: new Date(seconds * 1000).toISOString(), title: new Date(seconds * 1000).toLocaleString() }, ago(seconds));
}

// --- states: word, sign and colour, never colour alone -------------------------------------------------------------------

const states = {
  'triggered': ['·', 'Waiting', 'dim', 0], 'offered': ['→', 'Offered', 'move', 4], 'in-progress': ['↓', 'Downloading', 'move', null],
  'rebooting': ['↻', 'Rebooting', 'move', 100], 'on-trial': ['?', 'On trial', 'wait', 100], 'provisional': ['?', 'To be confirmed', 'wait', 100],
  'delayed': ['…', 'Delayed', 'wait', 0], 'failed': ['!', 'Failed, will retry', 'wait', 0], 'success': ['✓', 'Success', 'good', 100],
  'rejected': ['✗', 'Rejected', 'bad', 100], 'rolled-back': ['↶', 'Rolled back', 'bad', 100], 'gave-up': ['✗', 'Gave up', 'bad', 100],
  'waiting': ['·', 'Waiting for its slot', 'dim', 0], 'timed-out': ['✗', 'Timed out', 'bad', 100], 'cancelled': ['■', 'Cancelled', 'dim', 0],
  'excluded': ['■', 'Left out', 'dim', 0],
};
const jobStates = {
  active: ['▶', 'Active', 'move'], finished: ['✓', 'Finished', 'good'], cancelled: ['■', 'Cancelled', 'dim'],
  'finished-in-part': ['◐', 'Finished, not everywhere', 'wait'], paused: ['‖', 'Paused', 'wait'],
};
const jobState = (job) => state(job.paused ? 'paused' : job.status === 'finished' && job.success_count < job.total_count ? 'finished-in-part' : job.status, jobStates);

function state(name, table = states) {
  const [sign, word, tone] = table[name] || ['·', name, 'dim'];
  return el('span', { class: `state ${tone}` }, `${sign} ${word}`);
}

function nodeBar(e) {
  const [, word, tone, fixed] = states[e.state] || states.triggered;
  const percent = fixed ?? e.percent ?? 5;
  return el('div', { class: 'bar', role: 'progressbar', 'aria-valuenow': percent, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-label': word },
    el('i', { class: tone === 'dim' ? 'wait' : tone, width: `${percent}%` }));
}

function jobBar(job) {
  const total = Math.max(1, job.total_count);
  const good = job.success_count, bad = job.rejected_count + (job.states['gave-up'] || 0) + (job.states['timed-out'] || 0);
  const moving = job.in_progress_count + job.started_count;
  const part = (n, tone) => n > 0 && el('i', { class: tone, width: `${100 * n / total}%` });
  return el('div', { class: 'bar', role: 'img', 'aria-label': `${good} succeeded, ${bad} ended otherwise, ${moving} in progress, of ${job.total_count}` },
    part(good, 'good'), part(bad, 'bad'), part(moving, 'move'));
}

const figure = (value, label) => el('div', { class: 'figure' }, el('b', {}, String(value)), el('span', {}, label));

function panel(title, right, heads, rows, empty) {
  return el('section', { class: 'panel' },
    el('header', {}, el('h2', {}, title), right && el('span', { class: 'right sub' }, right)),
    rows.length ? el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, heads)), el('tbody', {}, rows))) : empty);
}

const th = (text, extra) => el('th', { class: extra, scope: 'col' }, text);
const td = (content, extra) => el('td', { class: extra }, content);

// --- pages -------------------------------------------------------------------------------------------------------------

async function overview() {
  const [images, jobs, nodes] = await Promise.all([
    call('GET', '/v1/admin/otaimage?num_records=50'), call('GET', '/v1/admin/otajob?num_records=50'), call('GET', '/v1/admin/nodes?num_records=100')]);
  const byId = new Map(images.ota_images.map((i) => [i.ota_image_id, i]));
  const online = nodes.node_info.filter((n) => n.status.connectivity.connected).length;
  const more = nodes.next_id ? '+' : '';
  show(
    el('h1', {}, 'Overview'), el('p', { class: 'sub' }, 'Images, jobs and nodes of this installation.'),
    el('div', { class: 'cards' }, figure(`${online}${more}`, 'nodes online'), figure(`${nodes.node_info.length}${more}`, 'nodes'),
      figure(jobs.ota_jobs.filter((j) => j.status === 'active').length, 'active jobs'), figure(images.ota_images.length, 'images')),
    panel('Jobs', null, [th('Job'), th('Image', 'hide-small'), th('Progress'), th('Done', 'num'), th('Status'), th('Started', 'hide-small')],
      jobs.ota_jobs.map((j) => el('tr', { class: 'pick', onclick: () => { location.hash = `#/jobs/${j.ota_job_id}`; } },
        td(el('a', { href: `#/jobs/${j.ota_job_id}` }, j.ota_job_name)), td(byId.get(j.ota_image_id)?.fw_version ?? '–', 'hide-small'), td(jobBar(j)),
        td(`${j.completed_count}/${j.total_count}`, 'num'), td(jobState(j)), td(when(Number(j.triggered_timestamp)), 'hide-small'))),
      el('p', { class: 'empty' }, 'No job yet. Start one:', el('code', {}, 'pluvio job start --image NAME --all --force-push --watch'))),
    panel('Images', null, [th('Image'), th('Version'), th('Project', 'hide-small'), th('Platform'), th('Size', 'num hide-small'), th('Uploaded', 'hide-small')],
      images.ota_images.map((i) => el('tr', {}, td(i.image_name), td(el('span', { class: 'mono' }, i.fw_version)), td(i.project_name || i.model, 'hide-small'), td(i.platform),
        td(bytes(i.file_size), 'num hide-small'), td(when(i.upload_timestamp), 'hide-small'))),
      el('p', { class: 'empty' }, 'No image yet. Upload one:', el('code', {}, 'pluvio image upload FILE.bin'))),
    panel('Nodes', null, [th('Node'), th('Version'), th('Project', 'hide-small'), th('Connection'), th('Since', 'hide-small')],
      nodes.node_info.map((n) => el('tr', {}, td(el('span', { class: 'mono' }, n.node_id)), td(n.fw_version || '–'), td(n.project_name, 'hide-small'),
        td(n.status.connectivity.connected ? el('span', { class: 'state good' }, '● Online') : el('span', { class: 'state dim' }, '○ Offline')),
        td(when(n.status.connectivity.timestamp / 1000), 'hide-small'))),
      el('p', { class: 'empty' }, 'No node yet. Register one:', el('code', {}, 'pluvio node add'))));
}

async function allExecutions(id) {
  const rows = [];
  for (let next = ''; rows.length < 1000;) {
    const page = await call('GET', `/v1/admin/otajob/status?ota_job_id=${id}${next && `&start_id=${encodeURIComponent(next)}`}`);
    rows.push(...page.node_ota_status);
    if (!page.next_id) break;
    next = page.next_id;
  }
  return rows;
}

async function timeline(id, nodeId) {
  const { timeline: rows } = await call('GET', `/v1/admin/otajob/timeline?ota_job_id=${id}&node_id=${encodeURIComponent(nodeId)}`);
  return el('section', { class: 'panel', id: 'timeline' },
    el('header', {}, el('h2', {}, 'Timeline of ', el('span', { class: 'mono' }, nodeId)), el('a', { class: 'right', href: `#/jobs/${id}` }, 'Close')),
    el('ol', { class: 'timeline' }, rows.map((r) => el('li', { class: (states[r.state] || states.triggered)[2] },
      el('time', { datetime: new Date(r.at_ms).toISOString() }, new Date(r.at_ms).toLocaleTimeString()), state(r.state), ' ',
      el('span', { class: 'info' }, `${r.additional_info}${r.source === 'CLOUD' ? ' (server)' : ''}`)))));
}

async function jobPage(id, nodeId) {
  const [job, executions, story] = await Promise.all([
    call('GET', `/v1/admin/otajob?ota_job_id=${encodeURIComponent(id)}`), allExecutions(id), nodeId && timeline(id, nodeId)]);
  const image = await call('GET', `/v1/admin/otaimage?ota_image_id=${job.ota_image_id}`).catch(() => null);
  const cancel = el('button', { class: 'danger', type: 'button', onclick: async () => {
    if (!confirm('Offer this job to no further node? Nodes that have begun will go on.')) return;
    await call('PUT', '/v1/admin/otajob', { ota_job_id: id });
    render();
  } }, 'Cancel job');
  show(
    el('p', { class: 'sub' }, el('a', { href: '#/' }, '← Overview')),
    el('h1', {}, job.ota_job_name), el('p', { class: 'sub' }, jobState(job), ` · ${image ? `${image.model} ${image.fw_version}` : 'image deleted'} · started `,
      when(Number(job.triggered_timestamp)), ` by ${job.owner}`),
    el('div', { class: 'cards' }, figure(job.total_count, 'nodes'), figure(job.success_count, 'succeeded'), figure(job.in_progress_count + job.started_count, 'in progress'),
      figure(job.rejected_count, 'rejected or rolled back'), figure(job.failed_count, 'failed')),
    story,
    panel('Nodes', job.status === 'active' && cancel, [th('Node'), th('Progress'), th('State'), th('Last word', 'hide-small'), th('When', 'hide-small')],
      executions.map((e) => el('tr', { class: 'pick', onclick: () => { location.hash = `#/jobs/${id}/${encodeURIComponent(e.node_id)}`; } },
        td(el('a', { class: 'mono', href: `#/jobs/${id}/${encodeURIComponent(e.node_id)}` }, e.node_id)), td(nodeBar(e)), td(state(e.state)), td(el('span', { class: 'info' }, e.additional_info), 'hide-small'),
        td(when(e.updated_ms / 1000), 'hide-small'))),
      el('p', { class: 'empty' }, 'This job has no nodes.')));
}

function loginPage(message) {
  const name = el('input', { name: 'user', autocomplete: 'username', required: true });
  const password = el('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const problem = el('p', { class: 'error', role: 'alert' }, message || '');
  const button = el('button', { type: 'submit' }, 'Sign in');
  show(el('form', { class: 'login', onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      session.set(await call('POST', '/v1/login2', { user_name: name.value, password: password.value }), name.value);
      start();
    } catch (failure) {
      problem.textContent = failure.message;
      button.disabled = false;
      password.select();
    }
  } }, el('h1', {}, 'Sign in'), el('p', { class: 'sub' }, 'The first password is in the server’s data folder, in admin-password.'),
    el('label', {}, 'User name', name), el('label', {}, 'Password', password), problem, button));
  name.focus();
  fetch('/v1/oidc').then((answer) => answer.ok && answer.json()).then((about) => {
    if (about && button.isConnected) button.after(el('p', { class: 'sub' }, el('a', { href: '/v1/oidc/login' }, `Sign in by ${new URL(about.issuer).host}`)));
  }).catch(() => {});
}

// The provider has sent the browser back, with a code in the place of a password.
async function signInByCode(code) {
  history.replaceState(null, '', '/');
  try {
    session.set(await call('POST', '/v1/login2', { oidc_code: code }));
    sessionStorage.setItem('name', (await call('GET', '/v1/user')).user_name);
    start();
  } catch (failure) {
    loginPage(failure.message);
  }
}

// --- routing and live -----------------------------------------------------------------------------------------------------

let rendering = false, again = false;

async function render() {
  if (!session.token) return loginPage();
  if (rendering) { again = true; return; }
  rendering = true;
  try {
    const [, section, id, node] = location.hash.split('/');
    await (section === 'jobs' && id ? jobPage(id, node && decodeURIComponent(node)) : overview());
  } catch (failure) {
    if (session.token) show(el('p', { class: 'empty error' }, failure.message), el('p', { class: 'empty' }, el('a', { href: '#/' }, 'Back to the overview')));
  } finally {
    rendering = false;
    if (again) { again = false; render(); }
  }
}

// A burst of events is one new picture, at most four times a second.
let due = null;
const renderSoon = () => { due ??= setTimeout(() => { due = null; render(); }, 250); };

const live = document.getElementById('live'), liveText = document.getElementById('live-text');
function setLive(isOn, text) {
  live.hidden = false;
  live.classList.toggle('on', isOn);
  liveText.textContent = text;
}

let cursor = null, streaming = null;

// fetch() instead of EventSource, because only it can send the token in a header.
async function stream(signal) {
  const answer = await fetch('/v1/admin/events', { headers: { Authorization: session.token, ...(cursor && { 'Last-Event-ID': cursor }) }, signal });
  if (answer.status === 401 && await renew()) return;
  if (!answer.ok) throw new Failure('no stream');
  setLive(true, 'Live');
  renderSoon(); // what happened while we were away
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let kept = '';;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (kept + value).split('\n\n');
    kept = parts.pop();
    for (const part of parts) {
      const id = /^id: (\d+)$/m.exec(part);
      if (id) cursor = id[1];
      if (/^event: /m.test(part)) renderSoon();
    }
  }
}

async function follow() {
  streaming?.abort();
  const mine = streaming = new AbortController();
  for (let wait = 500; session.token && !mine.signal.aborted; wait = Math.min(wait * 2, 8000)) {
    try {
      await stream(mine.signal);
      wait = 250;
    } catch (problem) {
      if (mine.signal.aborted) return;
    }
    setLive(false, 'Reconnecting…');
    await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
  }
}

function start() {
  document.getElementById('who').hidden = false;
  document.getElementById('who-name').textContent = sessionStorage.getItem('name') || '';
  render();
  follow();
}

function signOut(message) {
  session.clear();
  streaming?.abort();
  live.hidden = true;
  document.getElementById('who').hidden = true;
  loginPage(message);
}

document.getElementById('logout').addEventListener('click', async () => {
  await send('POST', '/v1/logout2', {}).catch(() => {});
  signOut();
});
addEventListener('hashchange', render);
setInterval(() => document.querySelectorAll('time[datetime][title]').forEach((t) => { t.textContent = ago(Date.parse(t.dateTime) / 1000); }), 5000);
if (location.hash.startsWith('#oidc=')) signInByCode(location.hash.slice(6));
else if (session.token) start();
else loginPage();
