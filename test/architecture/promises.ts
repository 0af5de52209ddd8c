// What the project promises its users, by id; a test's title begins with the id of the promise it proves.

export interface Promised {
  readonly id: string;
  readonly what: string;
  /** The file that proves it at the boundary; the others that cite it prove the parts below (`promises.test.ts` lists them). */
  readonly at: string | undefined;
  /** The part that no test proves. */
  readonly unproved: string | undefined;
}

const TABLE = `
A1 | a cycle every interval, never overlapping; a slow share delays no other | test/lab/failover.test.ts
A2 | a cycle probes both hosts, proves that the mount is alive, and then decides | test/lab/failover.test.ts
A3 | a change of the network, a wake or a clock jump starts a cycle at once | test/lab/network-events.test.ts
A4 | events in a burst start one cycle at once and one at the window's end | test/lab/network-events.test.ts
A5 | state.json is whole at any instant, and written before a change is announced | test/lab/kill.test.ts
A6 | an edit of the configuration applies live and resets nothing that did not change | test/live/smb-shares.test.ts
A7 | open files hold a recovery back, and what is late or failed counts as open | test/demo/stage/stage.test.ts
A8 | one engine, and no face is ever blocked by what hangs | test/lab/stop.test.ts
A9 | every transition is logged with what it was, why, and how long it took | test/shares/drivers/fs/moving-programs.test.ts
A10 | open files stay while a mount moves between its routes, with and without a daemon | test/lab/alone.test.ts
A11 | what write has acknowledged is on the server; nothing waits elsewhere | test/lab/cut-off-sessions.test.ts
A12 | large files at no less than 0.9 of a signed smbclient | test/lab/server-side.test.ts | 0.9 of a signed smbclient for large files: measured by a bench
A13 | the right server, or none: proved before an open file is used again | test/lab/servers.test.ts
A14 | two refused logons in an hour for an account, whoever asks | test/lab/logons.test.ts
A15 | after SIGKILL of the mount's program its path is back at once, with all that was acknowledged | mount/fs/kills_test.go
A16 | no spelling of a name destroys another file | test/shares/drivers/fs/real-program.test.ts
A17 | who reads a mount is an option; a guest, and a server's limit of connections, are conditions | test/lab/connection-limit.test.ts
A18 | changes and locks of other machines are seen, respected and reported to programs here | test/lab/others-work.test.ts
A19 | an open file lives at the server until its last close here, whatever its name becomes | mount/fs/mount/handles_test.go
A20 | a route is a cable, and no password goes where the daemon would not go itself | test/architecture/project.test.ts | a route that two interfaces share
What to mount | which route is mounted, failed over to, kept or cleaned up | test/lab/failover.test.ts
Found mounts | a mount that is already there is adopted, not doubled | test/lab/found-mounts.test.ts
Recovery | the four rows of auto_failback and lsof_recheck, with and without open files | test/lab/recovery.test.ts
By hand | what a person said holds until it is taken back | test/lab/recovery.test.ts
Paths | a stable link, and nothing made over what is not ours | test/lab/odd-servers.test.ts
B1 | polls, a debounce window, one reload for rapid saves | test/live/smb-shares.test.ts
B2 | three ways to notice a change, and what each cannot see | test/sync/detector-contract.test.ts
B3 | a missing file is no change, and is not made anew | test/daemon/daemon-service.test.ts
B4 | a failed reload is told, and watching goes on as on_failure says | test/daemon/daemon-service.test.ts
B5 | the sync section reconfigures the running watcher | test/daemon/last-accepted.test.ts
B6 | accepted whole or rejected whole, with the place of every mistake | test/daemon/last-accepted.test.ts
B7 | no in-flight call is lost, sessions survive, and a notice goes to whom it concerns | test/live/gateway-restarts.test.ts
B8 | one sync event for each change, no change and error | test/tui/start-tui.test.ts
B9 | the panel validates, saves its bytes alone, and takes effect at once | test/tui/start-tui.test.ts
B10 | watching begins with the service and ends cleanly; off means off | test/daemon/daemon-service.test.ts
B11 | restarts, upgrades, builds and kill -9 end no call, no session and no daemon for long | test/live/removed-package.test.ts
B12 | half a file is waited for or held back, and content that loosens a rule waits | test/daemon/reload/half-file.test.ts
C1 | tools leave with the share they require, and come back with it | test/lab/required-shares.test.ts
C2 | a backend has ordered routes, made before the old one is broken | test/gateway/backends/pool/backend-pool-routes.test.ts
C3 | one file, one daemon, one status for both halves; either runs alone and shows nothing of the other | test/cli/first-contact.test.ts
C4 | a server whose folder is missing waits for its share | test/lab/missing-folders.test.ts
D1 | clients and servers of both protocol eras work together, all four ways | test/mcp/matrix/matrix.test.ts
D2 | every transport, in front and behind | test/mcp/matrix/asked-at-once.test.ts
D3 | one bad server spoils nothing: its entries are mended or withheld, and said so | test/mcp/malformed-lists.test.ts
D4 | fewer tools in the context: finding, groups and profiles | test/mcp/fewer-tools-calls.test.ts
D5 | a client and a server can do through the gateway what they can do directly | test/mcp/current-lists.test.ts
D6 | lists of a server are served from the start on; it starts on its first need | test/live/checked-config.test.ts
D7 | a client's folder reaches its own instance, below approved folders only | test/mcp/client-folder.test.ts
D8 | one script calls many tools, each call by the rules of that moment | test/mcp/scripts.test.ts
D9 | what people's files, servers and clients are | test/world/servers.test.ts
E1 | signing in, of clients and towards backends | test/live/sign-in.test.ts
E2 | nothing runs that nobody approved | test/mcp/approvals.test.ts
E3 | a tool whose description changes is told of, and held where that is asked for | test/mcp/tool-pins.test.ts
E4 | limits for each principal, and refusals that say when to come back | test/live/few-descriptors.test.ts
E5 | traces, metrics and audit, without a secret in any | test/live/sign-in.test.ts
E6 | where a client cannot ask, the owner is asked in every face | test/web/page-work.test.ts
F1 | import what people have, connect their clients, and undo both | test/cli/clients/client-commands.test.ts
F2 | one dashboard in terminal and browser with every control | test/web/page.test.ts
F3 | from nothing to a mounted share in 60 s | test/lab/first-hour.test.ts
F4 | all that a file or a command can do can be done in the page, by the owner | test/nightly/page-webkit.test.ts
F5 | a NAS owns its routes, which all its shares use | test/config/nas.test.ts
F6 | purge removes what is ours alone, and what is printed to be pasted works | test/cli/service/purge.test.ts
F7 | why shows which rule applies, which were passed over, and when it is checked again | test/cli/sessions/why.test.ts
F8 | a home moves with backup, whole and encrypted | test/cli/service/backup.test.ts
F9 | each share and server shows its last hour, day and week | test/daemon/numbers/numbers.test.ts | a week, and who did what
G1 | daemons of many machines form a fleet over NATS | test/lab/fleet.test.ts
`;

export const PROMISES: readonly Promised[] = TABLE.trim()
  .split("\n")
  .map((row) => {
    const [id = "", what = "", at, unproved] = row.split(" | ");
    return { id, what, at: at === "-" ? undefined : at, unproved };
  });
