// The keys of `[global]`, `[[shares]]` and `[[aliases]]`.
import { parseNasName } from "../values/backend-names.ts";
import { describeServerShare } from "../values/mistakes.ts";
import { MODE_EXPECTED, parseMode, type SymlinksShown } from "../values/mount-access.ts";
import {
  NETWORK_MARK_EXPECTED,
  parseAliasName,
  parseNetworkMark,
  parseServerShareName,
  parseShareName,
  parseSubpath,
  parseUserName,
  SHARE_NAME_EXPECTED,
  SUBPATH_EXPECTED,
} from "../values/names.ts";
import { choiceKey, defaulted, numberKey, optional, required, toggleKey } from "./schema-keys.ts";
import { choice, host, list, networkInterface, path, reference, text, type Value } from "./value-types.ts";

const symlinks: Value<SymlinksShown> = {
  ...choice(["inside"]),
  ...{
    type: '"inside", true or false',
    expected: '"inside", true or false',
    json: { enum: ["inside", true, false] },
  },
  read: (value, refuse, at = []) =>
    value === "inside" || typeof value === "boolean" ? value : refuse(null, at),
};

const HOST_ABSENT = "only the other host is used";
const INTERFACE_ABSENT = "the interface whose subnet holds the host";

/** What happens to a mount when its route changes. */
const ROUTE_CHANGE_CHOICES = ["move", "remount"] as const;

export const globalKeys = {
  shares_root: optional("guards", path, {
    absent: '"~/Shares"; `Shares` in `$MOUNTAINEER_HOME` where that is set',
    meaning: "The folder with a stable link for each share: open your files through it.",
    example: '"~/Shares"',
  }),
  mount_root: optional("guards", path, {
    absent: 'macOS "/Volumes", Linux `volumes` in Mountaineer\'s home',
    meaning: "The folder in which shares are mounted.",
    example: '"~/.mountaineer/volumes"',
  }),
  check_interval_secs: numberKey("free", {
    min: 0.1,
    max: 3600,
    absent: 2,
    unit: "seconds",
    meaning: "How often every share is checked; network changes are checked at once.",
  }),
  network_debounce_ms: numberKey("free", {
    min: 0,
    max: 60_000,
    whole: true,
    absent: 500,
    unit: "milliseconds",
    meaning: "How long to collect further network changes before the next check.",
  }),
  connect_timeout_ms: numberKey("free", {
    min: 10,
    max: 60_000,
    whole: true,
    absent: 800,
    unit: "milliseconds",
    meaning: "How long a host may take to accept a connection and answer SMB.",
  }),
  mount_hang_secs: numberKey("free", {
    min: 0.5,
    max: 600,
    absent: 10,
    unit: "seconds",
    meaning: "How long a mount may be unresponsive before it counts as dead.",
  }),
  on_route_change: choiceKey("free", ROUTE_CHANGE_CHOICES, "move", {
    meaning:
      "When the route changes: `move` keeps the mount and open files, on Linux; `remount` mounts over the other route.",
  }),
  outage_patience_secs: numberKey("free", {
    min: 1,
    max: 3600,
    absent: 300,
    unit: "seconds",
    meaning: "How long programs wait for a share without a route, before they get an error.",
  }),
  auto_failback: toggleKey(
    "free",
    false,
    "Go back to the preferred route automatically once it is stable and no files are open.",
  ),
  auto_failback_stable_secs: numberKey("free", {
    min: 0,
    max: 86_400,
    absent: 30,
    unit: "seconds",
    meaning: "How long the preferred route must answer without a gap before a share goes back.",
  }),
  lsof_recheck: toggleKey("free", true, "Look for open files at every check while a share waits to go back."),
};

function modeKey(mode: string, what: string) {
  const absent = `"${mode}"`;
  const meaning = `On Linux: the mode of ${what}.`;
  const value = text("plain", parseMode, { type: "file mode", expected: MODE_EXPECTED });
  return defaulted("access", value, mode, { absent, meaning, example: '"0700"' });
}

/** The keys of `[nas.NAME]`, which are those of a share that has no `nas`. */
export const nasKeys = {
  thunderbolt_host: optional("sends", host, {
    absent: HOST_ABSENT,
    meaning: "The server's address on the preferred, fast route; port 445 unless given.",
    example: '"10.10.10.1"',
  }),
  fallback_host: optional("sends", host, {
    absent: HOST_ABSENT,
    meaning: "The same server's address on the other route.",
    example: '"nas.local"',
  }),
  username: optional("sends", text("plain", parseUserName), {
    absent: "your login name",
    meaning: "The user on the server.",
    example: '"ann"',
  }),
  password: optional("sends", reference, {
    absent: "guest",
    meaning: "The password.",
    example: `"\${CORE_PASSWORD}"`,
  }),
  thunderbolt_interface: optional("sends", networkInterface, {
    absent: INTERFACE_ABSENT,
    meaning: "The interface that leads to `thunderbolt_host`.",
    example: '"bridge0"',
  }),
  fallback_interface: optional("sends", networkInterface, {
    absent: INTERFACE_ABSENT,
    meaning: "The interface that leads to `fallback_host`.",
    example: '"en0"',
  }),
  only_on: defaulted("sends", list(text("plain", parseNetworkMark), { type: "list of networks" }), [], {
    absent: "any network",
    meaning: `The networks on which its hosts may be contacted: ${NETWORK_MARK_EXPECTED}. \`proved\` adds networks on which a route of the share is proved.`,
    example: '["gateway:aa:bb:cc:dd:ee:ff", "proved"]',
  }),
};

/** The keys of a share that only mountaineer-fs uses. */
export const fuseKeys = {
  allow_other: toggleKey(
    "access",
    false,
    "On Linux: let other users use the mount, as `username` on the server. Needs `user_allow_other` in /etc/fuse.conf, unless you are root.",
  ),
  read_only: toggleKey("access", false, "On Linux: refuse all changes through the mount."),
  file_mode: modeKey("0755", "every file; without execute bits no program runs from the share"),
  folder_mode: modeKey("0755", "every folder"),
  symlinks: defaulted("access", symlinks, "inside", {
    absent: '"inside"',
    meaning:
      "On Linux: which symbolic links of the share are links. `inside`: those that do not lead out of it; the others are shown as files.",
    example: "true",
  }),
  watch: defaulted("free", list(text("plain", parseSubpath, { expected: SUBPATH_EXPECTED })), [], {
    absent: "[]",
    meaning:
      "On Linux: folders in which programs of other users and of containers also hear of other machines' changes.",
    example: '["Photos"]',
  }),
  locks: choiceKey("free", ["server", "local"], "server", {
    meaning:
      "On Linux: where files are locked. `server`: programs of several machines exclude each other. `local`: only those of this machine do.",
  }),
};

export const shareKeys = {
  name: required("guards", text("plain", parseShareName), {
    expected: SHARE_NAME_EXPECTED,
    meaning: "The share's name in its link and in every command.",
    example: '"CORE"',
  }),
  nas: optional("sends", text("plain", parseNasName), {
    absent: "the share has its own hosts and login",
    meaning: "Its NAS, `[nas.NAME]`, which then has hosts, login and networks.",
    example: '"home"',
  }),
  thunderbolt_host: nasKeys.thunderbolt_host,
  fallback_host: nasKeys.fallback_host,
  username: nasKeys.username,
  share_name: optional("sends", text("plain", parseServerShareName, { describe: describeServerShare }), {
    absent: "`name`",
    meaning: "The share's name on the server.",
    example: '"core"',
  }),
  password: nasKeys.password,
  thunderbolt_interface: nasKeys.thunderbolt_interface,
  fallback_interface: nasKeys.fallback_interface,
  driver: optional("free", choice(["local"]), {
    absent: "`local` if paths are given, else the system's way to mount SMB",
    meaning:
      "`local`: a folder per route, switched by a link. Otherwise mountaineer-fs (Linux) or NetFS (macOS) mounts.",
    example: '"local"',
  }),
  on_route_change: optional("free", choice(ROUTE_CHANGE_CHOICES), {
    absent: "`on_route_change` of `[global]`",
    meaning: "As in `[global]`, from the next mount on.",
    example: '"move"',
  }),
  ...fuseKeys,
  wake: choiceKey("free", ["auto", "off"], "auto", {
    meaning: "Wake the NAS (Wake-on-LAN) when a person, program or server needs the share.",
  }),
  only_on: nasKeys.only_on,
  thunderbolt_path: optional("sends", path, {
    absent: "none; only for driver `local`",
    meaning: "Driver `local`: the folder of the preferred route.",
    example: '"~/nas-thunderbolt"',
  }),
  fallback_path: optional("sends", path, {
    absent: "none; only for driver `local`",
    meaning: "Driver `local`: the folder of the fallback route.",
    example: '"~/nas-ethernet"',
  }),
};

export const aliasKeys = {
  name: required("free", text("plain", parseAliasName), {
    expected: SHARE_NAME_EXPECTED,
    meaning: "The alias's name.",
    example: '"projects"',
  }),
  share: required("guards", text("plain", parseShareName), {
    expected: "the name of a share of this file",
    meaning: "The share that holds the folder, by its `name`.",
    example: '"CORE"',
  }),
  target_subpath: required("guards", text("plain", parseSubpath), {
    type: "path inside the share",
    expected: SUBPATH_EXPECTED,
    meaning: "The folder, from the top of the share.",
    example: '"Projects/2026"',
  }),
  path: optional("guards", path, {
    absent: "`<shares_root>/Links/<name>`",
    meaning: "Where to create the link.",
    example: '"~/Desktop/projects"',
  }),
};
