// What the project promises its users, by id; a test's title begins with the id of the promise it proves.

export interface Promised {
  readonly id: string;
  readonly what: string;
  /** Nothing keeps it yet, or no test proves it: the mark goes with the first test that does. */
  readonly notYetProved?: true;
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
  { id: "A10", what: "open files stay while a mount moves between its routes, with and without a daemon" },
  { id: "A11", what: "what write has acknowledged is on the server; nothing waits elsewhere" },
  { id: "A12", what: "large files at no less than 0.9 of a signed smbclient", notYetProved: true },
  { id: "A13", what: "the right server, or none: proved before an open file is used again" },
  { id: "A14", what: "two refused logons in an hour for an account, whoever asks" },
  {
    id: "A15",
    what: "after SIGKILL of the mount's program its path is back at once, with all that was acknowledged",
  },
  { id: "A16", what: "no spelling of a name destroys another file" },
  {
    id: "A17",
    what: "who reads a mount is an option; a guest, and a server's limit of connections, are conditions",
  },
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
    id: "B11",
    what: "restarts, upgrades, builds and kill -9 end no call, no session and no daemon for long",
  },
  {
    id: "C1",
    what: "tools leave with the share they require, and come back with it",
  },
  {
    id: "C2",
    what: "a backend has ordered routes, made before the old one is broken",
  },
  {
    id: "C3",
    what: "one file, one daemon, one status for both halves; either runs alone and shows nothing of the other",
  },
  { id: "C4", what: "a server whose folder is missing waits for its share" },
  {
    id: "D1",
    what: "clients and servers of both protocol eras work together, all four ways",
  },
  {
    id: "D2",
    what: "every transport, in front and behind",
  },
  {
    id: "D3",
    what: "one bad server spoils nothing: its entries are mended or withheld, and said so",
  },
  { id: "D4", what: "fewer tools in the context: finding, groups and profiles" },
  {
    id: "D5",
    what: "a client and a server can do through the gateway what they can do directly",
  },
  { id: "D9", what: "what people's files, servers and clients are" },
  { id: "E1", what: "signing in, of clients and towards backends" },
  { id: "E2", what: "nothing runs that nobody approved" },
  {
    id: "E3",
    what: "a tool whose description changes is told of, and held where that is asked for",
  },
  {
    id: "E4",
    what: "limits for each principal, and refusals that say when to come back",
  },
  { id: "E5", what: "traces, metrics and audit, without a secret in any" },
  { id: "F1", what: "import what people have, connect their clients, and undo both" },
  { id: "F2", what: "one dashboard in terminal and browser with every control" },
  { id: "F3", what: "from nothing to a mounted share in 60 s" },
  {
    id: "F4",
    what: "all that a file or a command can do can be done in the page, by the owner",
    notYetProved: true,
  },
  { id: "F6", what: "purge removes what is ours alone, and what is printed to be pasted works" },
  { id: "G1", what: "daemons of many machines form a fleet over NATS" },
];
