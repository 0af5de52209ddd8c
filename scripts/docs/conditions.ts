// The table of conditions in docs/use/troubleshooting.md: what each means, and what to do. A condition that has no entry here, or
// an entry without a condition, does not compile.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { ConditionName } from "../../src/daemon/conditions/condition-rows.ts";
import type { DocumentGenerator } from "./generator.ts";

/** What it means, and what to do: the two cells of its row. */
export const CONDITIONS: Readonly<Record<ConditionName, `${string} | ${string}`>> = {
  tb_ready:
    "Thunderbolt is back; files are open on a share that is not relayed, or `auto_failback` and `lsof_recheck` leave it to you | close them, or `mountaineer switch --share NAME --to tb`",
  waiting_for_route:
    "a relayed share has no route, or its server was away and is being proved; programs wait, or get errors after `outage_patience_secs` | nothing; open files stay open",
  off_network:
    "this machine is on a network that the share's `only_on` does not name, so nothing is sent to the NAS | nothing: it is back with the network; a new router has a new address, which `only_on` must name; the network of a second cable is learnt when both are connected, with `proved` in the list",
  waking: "someone wants the share, and its NAS is being woken | nothing; it has a minute",
  did_not_wake:
    "three packets were sent to wake the NAS, and it did not answer | see that it is on and allows Wake-on-LAN; `mountaineer wake` tries again",
  different_servers:
    "the two hosts are different servers, so the share is not relayed | check `thunderbolt_host` and `fallback_host`",
  host_unproved:
    "a host was edited, and the new address is another server or is not proved to be the one that is mounted; open files continue over the old address | close what is open, and the share is mounted from there; or set the host back",
  unsent_elsewhere:
    "files written for another server wait here; they are sent when it is back | `mountaineer unsent` shows them, sends them to this server, or sets them aside",
  server_unproved:
    "both addresses are not confirmed to be the same NAS; until then a cable change closes open files | the condition names what is missing, as a program to install or a file to check",
  share_empty:
    "a note: the share is empty, so nothing in it can confirm that both addresses are the same NAS; until it has a file, a cable change closes open files | nothing; the first file ends it",
  encrypted:
    "the NAS encrypts; a program that reads through `rclone` may get one error when a route is lost | [a newer rclone](../reference/drivers.md#a-nas-that-requires-encryption), or no encryption between you and the NAS",
  route_slow: "the host answers no probe, but the mount answers | nothing; it stays while it answers",
  waiting_for_permission:
    "macOS: the mount has never answered since it was made or found | look for a dialog of macOS and answer it; the mount is left as it is",
  mount_slow:
    "the mount has not answered for a second or more | nothing; after `mount_hang_secs` it is taken for dead",
  mount_denied: "reading the mount's root is not permitted | check the user's rights on the server",
  unknown_route:
    "the share is mounted from a host that is not configured | nothing; it is remounted when nothing on it is open",
  path_changed:
    "the share is mounted at another path than the one that its configuration names now | nothing; it is remounted at the new path when nothing on it is open",
  waiting_for_close:
    "it waits for the files named next to it | close them, or `mountaineer unmount --force`, then `mountaineer mount`",
  mount_outdated:
    "the share was mounted with other options than it would be now, or by an older engine: a setting, what is known of its server's names, rclone or Mountaineer changed | nothing; it is remounted when nothing on it is open or unsent",
  duplicate_mount:
    "the same share is also mounted elsewhere | unmount the other one; Mountaineer does not touch it",
  other_home:
    "the daemon of another home of yours looks after the same mount path | give one of the two another `mount_root`, or end the other daemon",
  path_taken: "something else is mounted at the share's path | unmount it, or rename the share",
  link_blocked:
    "something that is not Mountaineer's link is at the stable path, or the link is missing | move it away; `mountaineer reconcile` makes the link at once",
  alias_path_taken:
    "something that is not Mountaineer's link stands where an alias is to be | move it away, or give the alias another `path`",
  alias_not_linked:
    "the link of an alias cannot be made; the condition says why | remove the cause; it is retried automatically",
  config_cut_short:
    "the configuration file was written in place and looks like half a file: it is empty, ends inside a line of what ran before, or drops the sign-in, the policies or the listening address; the last accepted configuration keeps running, also after a restart | `mountaineer config rollback 0` writes the running configuration into it; if the file is right: `mountaineer reload` (again, if a reload reported this)",
  config_rejected:
    "the configuration file has an error, which the condition names; the last accepted configuration keeps running, also after a restart | correct the file; `mountaineer config rollback 0` writes the running configuration into it",
  config_failed:
    "the configuration file is valid, and a part of it could not be applied, which the condition names; the last accepted configuration keeps running | correct what it names; the file is applied again when it is saved, or with `mountaineer reload`",
  config_unreadable:
    "the configuration file cannot be read; the last accepted configuration keeps running | make it readable for the user of the daemon, then `mountaineer reload`",
  config_missing:
    "the configuration file is gone; the configuration that was loaded keeps running | put it back; `mountaineer config rollback 0` writes the running configuration into it",
  config:
    "a setting is allowed, but probably an error; the code ends with its path | the hint says what to write",
  sync_stopped:
    "a reload failed, and `[sync].on_failure` is `stop`: the file is no longer watched | correct the file, then `mountaineer reload`",
  sync_degraded:
    "the system's events for the file are not available, and it is polled; the condition says why | nothing; changes are noticed within `poll_interval`",
  variable_missing:
    "the environment variable with the password is not set | set it for the daemon and start it again",
  readable_by_others:
    "others can read the home, the configuration or the secrets | the `chmod` that it names",
  secret_missing:
    "the secret with the password, or that a backend needs, is not stored or cannot be read | `mountaineer secret set NAME`; the log says why it cannot be read",
  driver_unavailable:
    "the machine lacks something that mounting needs; a mount that works stays, and is not moved | install it; the condition names it",
  login_refused:
    "the server refuses the share's login, or would let it in as a guest only; Mountaineer itself causes no more than two refused logins in an hour, and open files continue as long as its connections last | `mountaineer secret set NAME` with the right password applies at once; `mountaineer mount` tries it as it is",
  smb1_only:
    "the server speaks SMB 1 only, which no driver here uses | switch SMB 2 or newer on at the server (Samba: `server max protocol = SMB3`), or install newer firmware",
  connections_limited:
    "the server refuses more connections than it names, so that programs [wait for their turn](../reference/share-rules.md#a-server-that-limits-connections) | raise the limit on the server, or open fewer files at once",
  routes_same_address:
    "both hosts lead to one address | give `thunderbolt_host` the address of the Thunderbolt interface",
  recovery_failed:
    "Thunderbolt answers, but mounting over it failed | see the reason in `last_error` and the log",
  unsent_files: "written here, not yet on the server | nothing; the next mount sends them",
  left_mounted:
    "a share was removed from the configuration file while it was mounted, or while files were open | nothing, if you still need it; `mountaineer unmount --share NAME` ends it",
  unsent_unconfigured:
    "files wait for a share that is no longer in the configuration | configure it again under its old `name` and `share_name`, or copy them from where `mountaineer unsent` says",
  upload_refused:
    "the server refuses files that were written (read-only, full, quota) | solve that on the server; or [give them up](../reference/share-rules.md#what-a-cut-costs)",
  files_set_aside:
    "files were written here while nothing was mounted, or a mount could not continue with what rclone had not sent | copy what is needed to the share, then delete the folder it names",
  stock_rclone:
    "the rclone that mounts is not [Mountaineer's own](../reference/drivers.md#which-rclone-runs), so it is slower; one older than 1.69 [can exit when a cable is pulled](../reference/drivers.md#what-a-newer-rclone-brings), and 1.60 also fails `cp -p`, and gives [names that end in a dot](../reference/share-files.md#names) back as others | the command that its hint names, or `mountaineer rclone install`; each share uses it from its next mount on",
  internal_error:
    "a part of the status cannot be read, because of a fault in Mountaineer; the rest works, and the log has the stack | report it with the log; `mountaineer restart`",
  secret_file_unread:
    "a file that `${file:PATH}` names is missing, does not answer, or may be written by others; the value that was read last is used | correct the file: it is read again every 30 s",
  program_changed:
    "a file in `program` in the home is not what this daemon started with, so it is not run | find out which program writes into the home; `mountaineer restart`",
  state_not_saved: "`state.json` cannot be written | free space, or make the home writable; mounts continue",
  history_not_saved:
    "the running configuration cannot be written to its history | free space, or make the home writable; it is kept in memory and retried",
  notify_unavailable:
    "`[notify]` is on, and the last notification could not be shown | install `notify-send`; run the daemon in the session of the desktop, or set `notify.enabled` to false",
  network_polling: "the system's network events are not available | nothing; changes are noticed within 2 s",
  fleet_unreachable:
    "no server of `[fleet]` can be used, for the reason it says; everything on this machine continues | correct what it names; it is tried again and again, and [the fleet](../reference/fleet.md) says what a server needs",
  fleet_calls_unreachable:
    "tools of other machines are not reached, and theirs do not reach this one's: the reason is next to it | where the server does not permit a subject: give this machine the permissions of [the fleet](../reference/fleet.md#permissions)",
  fleet_machine_away:
    "a machine whose tools were here, or that `[fleet].import` names, is not there | start it; see `mountaineer fleet status`, and `[fleet].export` of that machine",
  fleet_name_taken:
    "another machine of the fleet uses this one's name | give one of them another `[fleet].name`, and its own credentials",
  never_sleeps:
    "`start` or `stop_when_idle` is set for a server that cannot be stopped when idle; the condition says why | remove both keys there",
  not_remembered:
    "what a server lists is longer than what is kept for the next start (2 MiB), so it runs at each start | nothing",
  kept_awake:
    "clients hold subscriptions to a server that would be stopped when idle | nothing; it is stopped once they are gone",
  listen_failed:
    "the gateway cannot listen at its address | stop the program that the condition names, or set another `[server].port`; it is retried automatically",
  not_running: "a backend did not start, or ended | the reason is next to it; it is retried automatically",
  circuit_open:
    "it failed five times in a row or more, and is tried once a minute | correct it, then `mountaineer backends restart NAME`",
  clients_not_running:
    'with `instances = "per-client"`, the processes of clients do not start | the reason is next to it; they are retried automatically. A server of which only one copy can run needs `instances = "shared"`',
  change_failed:
    "an edit's new instance does not start; the old one keeps serving | correct the edit, or take it back",
  not_answering: "a backend leaves checks without an answer | nothing; another instance takes its place",
  lists_stale:
    "a list of a backend could not be read | nothing; its earlier entries stay, its other lists are served, and it is read again",
  entries_withheld:
    "a backend lists tools, resources or prompts that strict clients refuse, and with them the whole list | have its server corrected; the log names all of them, also those that could be corrected here",
  mixed_lines:
    "a server writes other text on the lines of its messages, or several messages on one line; an answer is read where it is the only one on its line | nothing; ask its author to write its log to stderr",
  spread_answers:
    "a server writes a message as JSON over several lines | nothing; ask its author to write each on one line",
  framed_messages:
    "a server writes `Content-Length` ahead of each message, as language servers do | nothing; ask its author to write each message on one line",
  no_numbers:
    "a server answered with `NaN` or `Infinity`, and the call failed: JSON has no such numbers | ask its author to write `null` in their place",
  undeclared_lists:
    "a server has tools, resources or prompts, and its capabilities name none of them | nothing; ask its author to declare them",
  login_needed:
    "a backend's server wants a login, or has ended the one there was | `mountaineer backends login NAME` ([signing in](sign-in-to-backends.md))",
  scopes_needed:
    "a call to a backend needs more than its login allows; the rest works | the same command: it asks for what was lacking",
  token_not_renewed:
    "the authorization server of a backend's login cannot be reached | nothing, while it is tried again; the title says why",
  catalog_collision: "two backends offer one name, with strategy `error` | rename one with `tool_overrides`",
  catalog_hidden:
    "two backends offer resources of the same URIs, or one offers a name twice; only the first are published | nothing; or filter one",
  tools_changed:
    "a server shows tools, prompts, resources or instructions that differ from those approved; they are published as they are now | `mountaineer tools diff`, then `mountaineer tools approve`, or remove the server",
  tools_unsteady:
    'a server describes the same entries differently again and again, so that no approval lasts | ask its author; or `pin = "off"` for that server',
  tools_withheld:
    'the same, or something new, with `pin = "block"`: no client gets them | `mountaineer tools diff`, then `mountaineer tools approve`',
  tools_not_pinned:
    "a server lists more than 5,000 entries; the rest is not remembered (`block`: withheld) | publish fewer with `filters`",
  pins_lost:
    "what servers showed is not known: the file is gone, or someone else wrote it, or the keyring gives no answer. What the file says is off stays off | unlock the keyring; else look through what they show now, then `mountaineer tools approve --all`",
  pins_not_saved:
    "the pins cannot be saved; they are kept until the daemon ends | free space, or make the home writable; it is tried again every minute",
  session_key_not_saved:
    "the key of session ids is not kept: sessions continue through a restart, and end when the daemon is killed | make `session.key` in the home a file that only you can read, or remove it, and restart; or free space",
  unseen_characters:
    "a server's texts hold characters that no one sees; clients get them without | `mountaineer tools diff` shows them; ask the maker of the server",
  share_away:
    "a share that a backend requires is not there | bring it back: `mountaineer status` says how it is, and what is missing",
  servers_wait:
    "servers wait for this share; only user interfaces show it, next to the share's own condition | bring the share back",
  waiting_for_approval:
    "a change of the configuration decides what runs, and no one has approved it; the approved version serves until then | `mountaineer approve` shows it and asks ([why](../reference/hot-reload.md#changes-that-wait-for-you))",
  approvals_lost:
    "what was approved is not known: its file is gone, or someone else wrote it, or the keyring gives no answer | unlock the keyring; else look with `mountaineer approve --list`, then `mountaineer approve --all`",
  approvals_not_saved:
    "approvals cannot be saved | free space, or make the home writable; until then the next start asks again",
  roots_shared:
    'a server asks for folders (roots), and shares one list between all your agents | set `instances = "per-client"` for that backend, unless only one client uses it',
  names_lost:
    "which tools you have switched off, and whose each name was, is not known: the file is gone, or someone else wrote it, or the keyring gives no answer | unlock the keyring; else `mountaineer tools disable` them again",
  names_prefixed:
    "a backend has tools whose names another one had before: they have its name before theirs, for good | nothing; or name them yourself with `tool_overrides`",
  rule_names_one_server:
    "a policy or group has a tool's name without wildcards, and several servers have a tool of that name: it means the first one's | write `SERVER/NAME`, as the hint shows",
  names_shortened:
    "tools have names that clients could not use, and are published under others | nothing; or name them yourself with `tool_overrides`",
  auth_token_missing:
    "a token's variable is not set, so no one comes in with it | set it for the daemon and start it again",
  session_key_missing:
    "a key of `[server].session_key` has no value, so sessions of machines that use it do not continue here | store it, or set its variable for the daemon",
  auth_open:
    "the gateway asks no one for a token | nothing, if only you use this machine; else `mountaineer init --add --token`",
  auth_keys_unavailable:
    "the keys of `[incoming_auth].issuer` could not be read, so its tokens are refused | see the reason next to it; it is retried automatically",
  auth_keys_aging:
    "the issuer does not answer, and tokens are checked with the keys that were read last | nothing; they are used for `keys_max_age`, and it is retried automatically",
  telemetry_not_sent:
    "traces and metrics do not arrive at `[telemetry].endpoint`; requests are served all the same | start the receiver, or correct the address; it is retried automatically",
  audit_not_written:
    "the audit's file cannot be written; requests are served all the same | free space, or give `[audit].path` another place",
};

const PATH = "docs/use/troubleshooting.md";
const HEAD = "| condition | what it means | what to do |\n| --- | --- | --- |\n";

export const conditionTable: DocumentGenerator = {
  path: PATH,
  async generate() {
    const page = await readFile(join(resolve(import.meta.dirname, "../.."), PATH), "utf8");
    const start = page.indexOf(HEAD) + HEAD.length;
    const rows = Object.entries(CONDITIONS).map(([name, cells]) => `| \`${name}\` | ${cells} |`);
    return page.slice(0, start) + rows.join("\n") + page.slice(page.indexOf("\n\n", start));
  },
};
