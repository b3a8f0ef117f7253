// Who is signed in.  Tokens lie in this browser's storage, so that a link opened in a new tab is signed in too; they go
// into a header, which no other site can make a browser send.

export type Role = 'user' | 'viewer' | 'operator' | 'admin' | 'super_admin';
export type Who = { user_id: string; user_name: string; role: Role };

const roles: Role[] = ['user', 'viewer', 'operator', 'admin', 'super_admin'];

function remembered(): Who | null {
  try {
    return localStorage.getItem('access') ? JSON.parse(localStorage.getItem('who') ?? 'null') : null;
  } catch {
    return null;
  }
}

class Session {
  access = $state(localStorage.getItem('access'));
  refresh = localStorage.getItem('refresh');
  /** As it was last time, so that the page need not wait; the server is asked again (App.svelte) and decides anyway. */
  who = $state<Who | null>(remembered());
  organisation = $state(sessionStorage.getItem('organisation') ?? '');
  message = $state('');

  constructor() {
    // Another tab signed in or out.
    addEventListener('storage', (e) => {
      if (e.key !== 'access' && e.key !== null) return;
      this.access = localStorage.getItem('access');
      this.refresh = localStorage.getItem('refresh');
      if (!this.access) this.who = null;
    });
  }

  take(answer: { accesstoken: string; refreshtoken: string }) {
    localStorage.setItem('access', answer.accesstoken);
    localStorage.setItem('refresh', answer.refreshtoken);
    this.refresh = answer.refreshtoken;
    this.access = answer.accesstoken;
    this.message = '';
  }

  know(who: Who) {
    localStorage.setItem('who', JSON.stringify(who));
    this.who = who;
  }

  end(message = '') {
    localStorage.removeItem('who');
    localStorage.removeItem('access');
    localStorage.removeItem('refresh');
    sessionStorage.removeItem('organisation');
    this.access = this.refresh = this.who = null;
    this.organisation = '';
    this.message = message;
  }

  chooseOrganisation(id: string) {
    if (id) sessionStorage.setItem('organisation', id);
    else sessionStorage.removeItem('organisation');
    this.organisation = id;
  }

  /** Whether the role is enough; the server asks again. */
  is(least: Role) {
    return !!this.who && roles.indexOf(this.who.role) >= roles.indexOf(least);
  }
}

export const session = new Session();
