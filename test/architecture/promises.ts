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
  { id: "A6", what: "an edit of the configuration applies live and resets nothing that did not change" },
  { id: "A7", what: "open files hold a recovery back, and what is late or failed counts as open" },
  { id: "A8", what: "one engine, and no face is ever blocked by what hangs" },
  { id: "A9", what: "every transition is logged with what it was, why, and how long it took" },
  { id: "What to mount", what: "which route is mounted, failed over to, kept or cleaned up" },
  { id: "Found mounts", what: "a mount that is already there is adopted, not doubled" },
  { id: "Recovery", what: "the four rows of auto_failback and lsof_recheck, with and without open files" },
  { id: "By hand", what: "what a person said holds until it is taken back" },
  { id: "Paths", what: "a stable link, and nothing made over what is not ours" },
  { id: "B1", what: "polls, a debounce window, one reload for rapid saves" },
  { id: "B2", what: "three ways to notice a change, and what each cannot see" },
  { id: "B3", what: "a missing file is no change, and is not made anew" },
  { id: "B4", what: "a failed reload is told, and watching goes on as on_failure says" },
  { id: "B5", what: "the sync section reconfigures the running watcher" },
  { id: "B6", what: "accepted whole or rejected whole, with the place of every mistake" },
  { id: "B7", what: "no in-flight call is lost, sessions survive, and a notice goes to whom it concerns" },
  { id: "B8", what: "one sync event for each change, no change and error" },
  { id: "B9", what: "the panel validates, saves its bytes alone, and takes effect at once" },
  { id: "B10", what: "watching begins with the service and ends cleanly; off means off" },
  {
    id: "C3",
    what: "one file, one daemon, one status for both halves; either runs alone and shows nothing of the other",
  },
];
