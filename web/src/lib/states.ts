// What states are called here: word, icon and tone together, so that colour never stands alone.
import type { Job, Node } from './api';

export type Tone = 'good' | 'bad' | 'wait' | 'move' | 'rest';
export type Look = { word: string; icon: string; tone: Tone };

export const executionStates: Record<string, Look & { step: number }> = {
  triggered: { word: 'Waiting', icon: 'dot', tone: 'rest', step: 0 },
  waiting: { word: 'Waiting for its turn', icon: 'clock', tone: 'rest', step: 0 },
  offered: { word: 'Offered', icon: 'send', tone: 'move', step: 1 },
  'in-progress': { word: 'Downloading', icon: 'down', tone: 'move', step: 2 },
  rebooting: { word: 'Rebooting', icon: 'spin', tone: 'move', step: 3 },
  'on-trial': { word: 'On trial', icon: 'trial', tone: 'wait', step: 3 },
  provisional: { word: 'To be confirmed', icon: 'trial', tone: 'wait', step: 3 },
  delayed: { word: 'Delayed by the node', icon: 'clock', tone: 'wait', step: 1 },
  failed: { word: 'Failed, will retry', icon: 'retry', tone: 'wait', step: 2 },
  success: { word: 'Success', icon: 'check', tone: 'good', step: 4 },
  rejected: { word: 'Rejected', icon: 'cross', tone: 'bad', step: 4 },
  'rolled-back': { word: 'Rolled back', icon: 'undo', tone: 'bad', step: 4 },
  'gave-up': { word: 'Gave up', icon: 'cross', tone: 'bad', step: 4 },
  'timed-out': { word: 'Timed out', icon: 'cross', tone: 'bad', step: 4 },
  cancelled: { word: 'Cancelled', icon: 'stop', tone: 'rest', step: 4 },
  excluded: { word: 'Left out', icon: 'stop', tone: 'rest', step: 4 },
};

export const executionLook = (state: string): Look => executionStates[state] ?? { word: state, icon: 'dot', tone: 'rest' };

/** In the order of a bar from left to right. */
export const stateOrder = [
  'success', 'rejected', 'rolled-back', 'gave-up', 'timed-out', 'on-trial', 'provisional', 'rebooting', 'in-progress', 'offered', 'failed', 'delayed',
  'waiting', 'triggered', 'excluded', 'cancelled',
];

export const unhappy = ['rejected', 'rolled-back', 'gave-up', 'timed-out'];

export const unhappyCount = (job: Job) => unhappy.reduce((sum, state) => sum + (job.states?.[state] ?? 0), 0);

const jobLooks: Record<string, Look> = {
  active: { word: 'Active', icon: 'play', tone: 'move' },
  paused: { word: 'Paused', icon: 'pause', tone: 'wait' },
  approval: { word: 'Awaits a second person', icon: 'trial', tone: 'wait' },
  finished: { word: 'Finished', icon: 'check', tone: 'good' },
  partly: { word: 'Finished in part', icon: 'half', tone: 'wait' },
  cancelled: { word: 'Cancelled', icon: 'stop', tone: 'rest' },
  triggered: { word: 'Triggered', icon: 'dot', tone: 'rest' },
};

export const awaitsApproval = (job: Job) => job.paused && /second person|approval|approve/i.test(job.stop_reason ?? '');

export function jobLook(job: Job): Look {
  if (job.status === 'active' && job.paused) return awaitsApproval(job) ? jobLooks.approval : jobLooks.paused;
  if (job.status === 'finished' && job.success_count < job.total_count) return jobLooks.partly;
  return jobLooks[job.status] ?? jobLooks.triggered;
}

const nodeLooks: Record<string, Look> = {
  online: { word: 'Online', icon: 'on', tone: 'good' },
  offline: { word: 'Offline', icon: 'off', tone: 'rest' },
  not_activated: { word: 'Never seen', icon: 'dot', tone: 'rest' },
  deactivated: { word: 'Deactivated', icon: 'stop', tone: 'bad' },
};

export const nodeLook = (node: Node): Look => nodeLooks[node.node_status] ?? nodeLooks.offline;

export const isSimulated = (id: string) => id.startsWith('sim-');
