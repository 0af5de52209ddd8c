// Every file that Mountaineer makes in a home, and what a backup does with it. `purge.ts` removes files by the same names.
import { CLIENT_NAMES } from "../clients/client.ts";

/** How a backup has a file: its text, or what it says, which is sealed or encrypted again where it is restored. */
export type BackedUpAs = "text" | "sealed" | "secrets" | "encrypted" | "token";

interface HomeFile {
  /** The source of a regular expression for its path in the home. */
  readonly path: string;
  /** Absent: no backup has it. */
  readonly as?: BackedUpAs;
  /** True: a copy that runs beside the old home does not get it. */
  readonly movesOnly?: true;
}

/** The configuration, if it has its usual name. A purge removes the one in use. */
export const CONFIGURATION: HomeFile = { path: "config\\.(?:toml|ya?ml)", as: "text" };

/** The sign-in at a server: of the owner, or of a user. */
const SIGN_IN = "[\\w-]+-[0-9a-f]{8}(?:-[0-9a-f]{32})?";
const SHARE = "mounts/[^/]+/(?:servers/[a-z0-9]+/)?";

export const HOME_FILES: readonly HomeFile[] = [
  { path: "history/\\d{10}-[0-9a-f]{8}\\.entry", as: "text" },
  { path: "(?:approvals|names|pins)\\.sealed", as: "sealed" },
  { path: "grants\\.sealed", as: "sealed", movesOnly: true },
  { path: "secrets\\.json", as: "secrets" },
  { path: "user-secrets/(?:owner|user-[0-9a-f]{32})\\.json", as: "encrypted" },
  { path: `sign-in/${SIGN_IN}\\.json`, as: "encrypted", movesOnly: true },
  { path: "session\\.key", as: "text", movesOnly: true },
  { path: "management\\.json", as: "token", movesOnly: true },
  { path: "(?:state|import-waits)\\.json|fleet/ca\\.pem", as: "text" },
  // What belongs to this machine, to a process, or can be made again.
  { path: "(?:aliases|backup|daemon|lock|moved|origin)\\.json" },
  { path: "(?:audit|sessions)\\.jsonl|numbers\\.log" },
  { path: "(?:secrets\\.|users\\.)?lock\\.db" },
  { path: "(?:approvals|grants|names|pins)\\.key|(?:checked|lists)\\.(?:key|sealed)" },
  { path: "mountaineer\\.(?:log|sock)|mcp\\.sock|open\\.html" },
  { path: `connections/(?:(?:${CLIENT_NAMES.join("|")})\\.json|lock\\.db)` },
  { path: "logons/(?:try-)?[0-9a-f]+" },
  { path: "mount-program/(?:installed|untried|[0-9a-f]{12})/mountaineer-fs" },
  { path: "program/\\d+/.*" },
  { path: `sign-in/(?:_key|_unused|${SIGN_IN})(?:\\.asked)?\\.(?:json|lock\\.db)` },
  { path: "user-secrets/(?:_key|owner|user-[0-9a-f]{32})\\.lock\\.db" },
  {
    path: `${SHARE}(?:control|local(?:-folders)?|mount-folder|mountaineer-fs|process|program|send-to|server(?:-\\d+)?)\\.json`,
  },
  {
    path: `${SHARE}(?:aside|control\\.sock|journal|sessions|note\\.new|mountaineer-fs\\.log|server-copy\\.part)`,
  },
  { path: `${SHARE}set-aside-notes/.+\\.json` },
];

/** The folders that Mountaineer makes in a home. */
export const HOME_FOLDERS: readonly string[] = [
  ...[".mcp-sock", ".sock", "connections", "fleet", "history", "logons", "mount-program"],
  ...["mounts", "no-client", "program", "sign-in", "user-secrets"],
  "volumes",
];

/** Folders that a purge removes if they are empty; others only if it empties them. */
export const EMPTY_FOLDERS: readonly string[] = [
  `(?:${HOME_FOLDERS.join("|")})/`,
  `mount-program/(?:installed|untried|[0-9a-f]{12})/`,
  `${SHARE}(?:servers/|servers/[a-z0-9]+/|set-aside/|set-aside-notes/)`,
];

/** The names of the sealed files, each of which has a separate key. */
export const SEALED_NAMES: readonly string[] = ["approvals", "checked", "grants", "lists", "names", "pins"];

/** The folders whose files a backup has; "": the home itself. */
export const BACKED_UP_FOLDERS: readonly string[] = ["", "fleet", "history", "sign-in", "user-secrets"];

/** The row of a file that a backup has, by its path in the home; null: it is not in backups. */
export function backedUp(path: string): (Required<Pick<HomeFile, "as">> & HomeFile) | null {
  const found = [CONFIGURATION, ...HOME_FILES].find((row) => new RegExp(`^(?:${row.path})$`).test(path));
  return found?.as === undefined ? null : { ...found, as: found.as };
}
