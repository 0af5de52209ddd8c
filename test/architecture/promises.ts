// What the project promises its users, by id; a test's title begins with the id of the promise it proves.

export interface Promised {
  readonly id: string;
  readonly what: string;
}

export const PROMISES: readonly Promised[] = [
  { id: "A1", what: "a cycle every interval, never overlapping; a slow share delays no other" },
  { id: "A2", what: "a cycle probes both hosts, proves that the mount is alive, and then decides" },
  { id: "A3", what: "a change of the network, a wake or a clock jump starts a cycle at once" },
  { id: "A4", what: "events in a burst start one cycle at once and one at the window's end" },
  { id: "A5", what: "state.json is whole at any instant, and written before a change is announced" },
  { id: "A7", what: "open files hold a recovery back, and what is late or failed counts as open" },
  { id: "A8", what: "one engine, and no face is ever blocked by what hangs" },
  { id: "A9", what: "every transition is logged with what it was, why, and how long it took" },
  { id: "What to mount", what: "which route is mounted, failed over to, kept or cleaned up" },
  { id: "Found mounts", what: "a mount that is already there is adopted, not doubled" },
  { id: "Recovery", what: "the four rows of auto_failback and lsof_recheck, with and without open files" },
  { id: "By hand", what: "what a person said holds until it is taken back" },
  { id: "Paths", what: "a stable link, and nothing made over what is not ours" },
];
