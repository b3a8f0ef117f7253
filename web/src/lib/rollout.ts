// The rollout's language (docs: `pluvio job start --rollout`) for what people fill in and see.  The server is its judge.

export type Step = { share: string; gate: string };

export function ladderOf(plan: string): Step[] {
  return plan
    .split(';')
    .map((s) => s.trim())
    .filter((s) => s.startsWith('phase '))
    .map((s) => {
      const words = s.split(/\s+/);
      const of = (key: string) => (words.includes(key) ? words[words.indexOf(key) + 1] : '');
      const isNodes = words[2] === 'nodes';
      const gate = [`${of('success') || '90%'} succeed of ${of('ended') || '80%'}`, of('soak') && `holds ${of('soak')}`].filter(Boolean).join(', ');
      return { share: words[1].endsWith('%') && !isNodes ? words[1] : `${words[1]} nodes`, gate: words[1] === '100%' ? '' : gate };
    });
}

export type Preset = { id: string; name: string; says: string; plan: string };

export const presets: Preset[] = [
  { id: 'all', name: 'Everyone', says: 'No phases. For a handful of nodes, or a lab.', plan: '' },
  {
    id: 'canary', name: 'Canary, 10 %, 50 %, 100 %', says: 'A percent first; each step waits until the one before has proved itself. Stops by itself at 5 % failures.',
    plan: 'phase 1% success 95% soak 10m; phase 10% success 95% soak 30m; phase 50% soak 1h; phase 100%; abort any 5% min 10 pause',
  },
  { id: 'constant', name: 'Constant rate', says: 'The same number of nodes each minute.', plan: 'rate 100/min; abort any 5% min 20 pause' },
  {
    id: 'exponential', name: 'Growing rate', says: 'Begins slowly, doubles each time a thousand have succeeded.',
    plan: 'rate 50/min x2 every 1000 succeeded max 5000/min; abort any 5% min 20 pause',
  },
];
