// The keys of `[global]`, `[[shares]]` and `[[aliases]]`.
import { REFERENCE_FORMS } from "../../secrets/reference.ts";
import { describeServerShare } from "../values/mistakes.ts";
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
import { choice, host, list, networkInterface, path, reference, text } from "./value-types.ts";

/** The ways to mount that a configuration may name. */
const DRIVER_CHOICES = ["auto", "rclone", "netfs", "cifs", "local"] as const;

const HOST_ABSENT =
  "the other host alone is used; one of both is required, unless driver `local` has both paths";
const INTERFACE_ABSENT = "the interface whose subnet holds the host";

/** Whether a mount stays while its route moves beneath it. */
const CARRY_CHOICES = ["auto", "on", "off"] as const;

export const globalKeys = {
  shares_root: optional("guards", path, {
    absent: '"~/Shares"; `Shares` in `$MOUNTAINEER_HOME` where that is set',
    meaning: "The folder with one stable link per share: open your files below it, whatever route is in use.",
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
    meaning:
      "How often every share is looked at, besides at once on each network change; fractions are allowed.",
  }),
  network_debounce_ms: numberKey("free", {
    min: 0,
    max: 60_000,
    whole: true,
    absent: 500,
    unit: "milliseconds",
    meaning:
      "After a network change was acted upon, how long further changes are collected before the next look.",
  }),
  connect_timeout_ms: numberKey("free", {
    min: 10,
    max: 60_000,
    whole: true,
    absent: 800,
    unit: "milliseconds",
    meaning: "How long a host has to accept a connection and answer SMB, both together.",
  }),
  mount_hang_secs: numberKey("free", {
    min: 0.5,
    max: 600,
    absent: 10,
    unit: "seconds",
    meaning: "How long a mount may give no answer before it counts as dead.",
  }),
  carry: choiceKey("free", CARRY_CHOICES, "auto", {
    meaning:
      "Whether shares are carried: mounted once, while their route moves beneath the mount, so that open files stay open. `auto` carries where the driver can and its routes are proved to lead to one server; `off` mounts anew for each change of route. A share's own `carry` comes first.",
  }),
  outage_patience_secs: numberKey("free", {
    min: 1,
    max: 3600,
    absent: 60,
    unit: "seconds",
    meaning:
      "How long programs that use a carried share wait while no route answers, before they get an error.",
  }),
  auto_failback: toggleKey(
    "free",
    false,
    "Go back to Thunderbolt by itself, once it has been stable, when no files are open on the share.",
  ),
  auto_failback_stable_secs: numberKey("free", {
    min: 0,
    max: 86_400,
    absent: 30,
    unit: "seconds",
    meaning: "How long Thunderbolt must have answered without a gap before a share may go back to it.",
  }),
  lsof_recheck: toggleKey(
    "free",
    true,
    "While a share waits to go back to Thunderbolt, look for open files on every check and go back once they are closed.",
  ),
};

export const shareKeys = {
  name: required("free", text("plain", parseShareName), {
    expected: SHARE_NAME_EXPECTED,
    meaning: "What the share is called here: its link in `shares_root`, and its name in every command.",
    example: '"CORE"',
  }),
  thunderbolt_host: optional("sends", host, {
    absent: HOST_ABSENT,
    meaning:
      "The server over the preferred, fast route. The port is 445 unless written. One host is enough; with both, the share moves between them.",
    example: '"10.10.10.1"',
  }),
  fallback_host: optional("sends", host, {
    absent: HOST_ABSENT,
    meaning: "The same server over the other route.",
    example: '"nas.local"',
  }),
  username: optional("sends", text("plain", parseUserName), {
    absent: "your login name",
    meaning: "The user on the server.",
    example: '"ann"',
  }),
  share_name: optional("sends", text("plain", parseServerShareName, { describe: describeServerShare }), {
    absent: "`name`",
    meaning: "What the server calls the share.",
    example: '"core"',
  }),
  password: optional("sends", reference, {
    absent: "guest",
    meaning: `The password, as a reference: ${REFERENCE_FORMS}. A password itself is refused.`,
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
  driver: choiceKey("sends", DRIVER_CHOICES, "auto", {
    meaning:
      "How the share is mounted: `rclone` is SMB through FUSE; `netfs` is macOS's own SMB; `cifs` is the Linux kernel's own, for root or with a line in /etc/fstab; `local` is a folder per route, switched by a link; `auto` is `local` when the paths are given, else `netfs` on macOS and `rclone` elsewhere.",
  }),
  carry: optional("free", choice(CARRY_CHOICES), {
    absent: "`carry` of `[global]`",
    meaning:
      "Whether this share is carried, as in `[global]`. `on` says so in `status` when it cannot be; `off` mounts it anew for each change of route.",
    example: '"auto"',
  }),
  wake: choiceKey("free", ["auto", "off"], "auto", {
    meaning:
      "Whether the NAS is woken (Wake-on-LAN) when it does not answer and somebody wants the share: a person's command, a program on a carried share, or a call to a server that requires it. Never by a check or a network change.",
  }),
  only_on: defaulted("sends", list(text("plain", parseNetworkMark), { type: "list of networks" }), [], {
    absent: "any network",
    meaning: `The networks on which its hosts are asked at all, each as ${NETWORK_MARK_EXPECTED}. Elsewhere nothing is sent to them, and programs get errors at once. \`init\` offers those where it found the NAS.`,
    example: '["gateway:aa:bb:cc:dd:ee:ff"]',
  }),
  thunderbolt_path: optional("sends", path, {
    absent: "none; only for driver `local`",
    meaning:
      "Driver `local`: the folder that stands for the Thunderbolt route. Without hosts, the route is there while the folder is.",
    example: '"~/nas-thunderbolt"',
  }),
  fallback_path: optional("sends", path, {
    absent: "none; only for driver `local`",
    meaning: "Driver `local`: the folder that stands for the fallback route.",
    example: '"~/nas-ethernet"',
  }),
};

export const aliasKeys = {
  name: required("free", text("plain", parseAliasName), {
    expected: SHARE_NAME_EXPECTED,
    meaning: "What the alias is called here.",
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
    meaning: "The folder, from the top of the share; it need not be there yet.",
    example: '"Projects/2026"',
  }),
  path: optional("guards", path, {
    absent: "`<shares_root>/Links/<name>`",
    meaning: "Where the link is made.",
    example: '"~/Desktop/projects"',
  }),
};
