// Keys of the page, told by `?`.  A page registers its own while it is open; keys are silent while one types.
import { untrack } from 'svelte';
import { go } from './router.svelte';

export type Key = { keys: string; does: string; run: () => void };

export const places: { key: string; path: string; name: string }[] = [
  { key: 'o', path: '/', name: 'Overview' },
  { key: 'i', path: '/images', name: 'Images' },
  { key: 'j', path: '/jobs', name: 'Jobs' },
  { key: 'n', path: '/nodes', name: 'Nodes' },
  { key: 'g', path: '/groups', name: 'Groups' },
  { key: 'k', path: '/keys', name: 'Keys' },
  { key: 'u', path: '/users', name: 'Users' },
  { key: 'a', path: '/audit', name: 'Audit' },
  { key: 's', path: '/settings', name: 'Settings' },
];

class Keys {
  own = $state.raw<Key[][]>([]);
  private prefix = '';

  /** In a component's script: these keys count while it is there. */
  use(keys: () => Key[]) {
    $effect(() => {
      const mine = keys();
      this.own = [...untrack(() => this.own), mine];
      return () => {
        this.own = untrack(() => this.own).filter((k) => k !== mine);
      };
    });
  }

  press(e: KeyboardEvent) {
    const at = e.target as HTMLElement;
    if (e.ctrlKey || e.metaKey || e.altKey || at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) return;
    if (e.key === 'Enter' && at.closest('a, button, summary, [role="tab"]')) return; // it is for what has the focus
    if (document.querySelector('[role="dialog"][data-state="open"], [role="menu"][data-state="open"]') && e.key !== 'Escape') return;
    if (this.prefix === 'g') {
      this.prefix = '';
      const place = places.find((p) => p.key === e.key);
      if (place) {
        e.preventDefault();
        go(place.path);
      }
      return;
    }
    if (e.key === 'g') {
      this.prefix = 'g';
      setTimeout(() => (this.prefix = ''), 1500);
      return;
    }
    for (const set of [...this.own].reverse()) {
      const key = set.find((k) => k.keys === e.key);
      if (key) {
        e.preventDefault();
        key.run();
        return;
      }
    }
  }
}

export const keys = new Keys();
