// An upload in pieces: it goes on where it broke off, also after the page was loaded anew (for as long as its URL lives).
import { Failure, get } from './api';

const PIECE = 512 * 1024;
const TRIES = 6;

type Ticket = { id: string; url: string; until: number };

const storeKey = (kind: string, name: string, file: File) => `upload/${kind}/${name}/${file.name}/${file.size}/${file.lastModified}`;

/** Signed URLs name the server's public address; this page's own is the same server, and all that it may talk to. */
function here(url: string) {
  const u = new URL(url);
  return u.pathname + u.search;
}

async function offsetOf(url: string, signal: AbortSignal) {
  const answer = await fetch(url, { method: 'HEAD', signal });
  const at = answer.headers.get('Upload-Offset');
  if (!answer.ok || at === null) throw new Failure('The upload is not awaited any more.', answer.status);
  return Number(at);
}

async function send(url: string, file: File, at: number, onpart: (sent: number) => void, signal: AbortSignal) {
  // XMLHttpRequest, because fetch() tells nothing of the progress of what it sends.
  return new Promise<number>((resolve, reject) => {
    const x = new XMLHttpRequest();
    x.open('PATCH', url);
    x.setRequestHeader('Upload-Offset', String(at));
    x.upload.onprogress = (e) => onpart(at + e.loaded);
    x.onload = () => {
      if (x.status >= 200 && x.status < 300) return resolve(Number(x.getResponseHeader('Upload-Offset') ?? at));
      let story = '';
      try {
        story = JSON.parse(x.responseText).description;
      } catch {
        /* no JSON */
      }
      reject(new Failure(story || `The server answered ${x.status}.`, x.status));
    };
    x.onerror = () => reject(new Failure('The connection broke.'));
    signal.addEventListener('abort', () => x.abort());
    x.onabort = () => reject(new Failure('Stopped.', -1));
    x.send(file.slice(at, at + PIECE));
  });
}

/** Brings the file to the server; answers with the id to confirm.  `kind`: firmware, raw or package. */
export async function upload(file: File, kind: string, name: string, onpart: (sent: number) => void, signal: AbortSignal) {
  const key = storeKey(kind, name, file);
  let ticket: Ticket | null = JSON.parse(localStorage.getItem(key) ?? 'null');
  let at = -1;
  if (ticket && ticket.until > Date.now()) at = await offsetOf(ticket.url, signal).catch(() => -1);
  if (at < 0) {
    const a = await get('/v1/admin/otaimage/upload_request', { image_name: name, image_type: kind }, signal);
    ticket = { id: a.ota_image_id, url: here(a.upload_url), until: Date.now() + 50 * 60_000 };
    localStorage.setItem(key, JSON.stringify(ticket));
    at = 0;
  }
  for (let failed = 0; at < file.size; ) {
    try {
      at = await send(ticket!.url, file, at, onpart, signal);
      onpart(at);
      failed = 0;
    } catch (problem) {
      const status = (problem as Failure).status;
      if (signal.aborted || (status >= 400 && status !== 429 && status < 500) || ++failed > TRIES) throw problem;
      await new Promise((done) => setTimeout(done, 300 * 2 ** failed));
      at = await offsetOf(ticket!.url, signal).catch(() => at);
    }
  }
  return { id: ticket!.id, forget: () => localStorage.removeItem(key) };
}
