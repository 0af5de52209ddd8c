// Makes docs/reference/conditions.md: the codes of the doctor and of conditions, each with its meaning. A condition that has no entry
// here, or an entry without a condition, does not compile.
import type { ConditionName } from "../../src/daemon/conditions/condition-rows.ts";
import type { DocumentGenerator } from "./generator.ts";

const CONDITIONS: Readonly<Record<ConditionName, string>> = {
  question_waits: "a call waits for your answer, as its client cannot ask a person",
  tb_ready: "Thunderbolt is back, and files that are open hold the share on its other route",
  waiting_for_route: "no route has the server; programs wait for `outage_patience_secs`",
  off_network: "this network is not in the share's `only_on`",
  waking: "the NAS is being woken, for a minute",
  did_not_wake: "the NAS did not answer three wake-up packets",
  different_servers:
    "another server answers than the one that was mounted, or one that offers less; the title has the reason",
  host_unproved: "an edited host is not proved to be the server that is mounted",
  server_unproved: "of a share that is remounted: the two addresses are not proved to be one NAS",
  share_empty: "the share has no file by which its NAS could be recognized",
  route_slow: "the host answers no probe; the mount answers",
  waiting_for_permission: "macOS: the mount has never answered; a dialog may wait for you",
  program_silent: "neither the mount nor its program answers; open files stay open",
  mount_slow: "the mount has not answered for a second or more",
  mount_denied: "the mount's root may not be read",
  unknown_route: "mounted from a host that is not configured",
  path_changed: "mounted at its earlier path until nothing on it is open",
  waiting_for_close: "waits until the files that it names are closed",
  mount_outdated: "mounted with earlier options, or by an earlier version, until nothing on it is open",
  duplicate_mount: "also mounted elsewhere; Mountaineer does not touch that mount",
  other_home: "the daemon of another home uses the same mount path",
  path_taken: "something else is mounted at the share's path",
  link_blocked: "the stable path is missing, or is not Mountaineer's link",
  alias_path_taken: "an alias's path is not Mountaineer's link",
  alias_not_linked: "the link of an alias cannot be made",
  config_cut_short:
    "the file looks like half a file: empty, cut in a line, or without its sign-in or policies",
  config_rejected: "the file has an error",
  config_failed: "a part of a valid file could not be applied",
  config_unreadable: "the file cannot be read",
  config_missing: "the file is gone; the loaded configuration keeps running",
  home_moved: "the home was moved by a backup: `mountaineer up` asks before it starts",
  config_second: "a second configuration file is in the home; the next start would be refused",
  config: "a setting is allowed, but probably an error",
  sync_stopped: 'a reload failed with `[sync].on_failure = "stop"`: the file is no longer watched',
  sync_degraded: "the file is polled, because the system's events are missing",
  variable_missing: "the variable with the password is not set",
  readable_by_others: "others can read the home, the configuration or the secrets",
  secret_missing: "a secret is not stored, or cannot be read",
  driver_unavailable: "something that mounting needs is missing",
  login_refused:
    "the server refuses the login, or takes it as a guest; Mountaineer causes at most two refusals an hour",
  smb1_only: "the server speaks SMB 1 only, which is never used",
  lock_lost: "a program may have lost a lock while the server was away; it got EIO",
  changes_unheard:
    "programs watch folders in which other machines' changes are not heard; the key `watch` adds some",
  cable_uncertain: "traffic of a route may leave by another interface than its own",
  connections_limited: "the server limits connections; the mount uses one",
  routes_same_address: "both hosts lead to one address",
  recovery_failed: "Thunderbolt answers, and mounting over it failed",
  left_mounted: "removed from the file, still mounted",
  files_set_aside: "files were written here while nothing was mounted",
  internal_error: "a fault in Mountaineer hides a part of the status",
  secret_file_unread: "a `${file:PATH}` cannot be used; its last value is",
  program_not_kept: "the home has no copy of the running program, which an upgrade may then break",
  program_changed: "a file in the home's `program` has changed, and is not run",
  home_copied: "this home was copied by hand; said at one start",
  state_not_saved: "`state.json` cannot be written",
  history_not_saved: "the running configuration cannot be written to its history",
  notify_unavailable: "the last notification could not be shown",
  network_polling: "network changes are noticed within 2 s, by polling",
  fleet_unreachable: "no server of `[fleet]` can be used",
  fleet_calls_unreachable:
    "tools do not pass between machines; see their [permissions](fleet.md#permissions)",
  fleet_machine_away: "a machine of the fleet is away",
  fleet_name_taken: "another machine uses this one's name",
  never_sleeps: "`start` or `stop_when_idle` is set for a server that cannot be stopped",
  not_remembered: "the server's lists exceed 2 MiB, so it runs at each start",
  kept_awake: "subscriptions keep a server running",
  listen_failed: "the gateway cannot listen at its address",
  not_running: "a server did not start, or ended",
  circuit_open: "a server failed five times in a row, and is tried once a minute",
  clients_not_running: "the processes of a `per-client` server do not start",
  change_failed: "an edit's new instance does not start; the old one serves",
  not_answering: "a server leaves checks unanswered; another instance follows",
  lists_stale: "a list could not be read; its earlier entries stay",
  entries_withheld: "a server lists entries that strict clients refuse; these are left out",
  mixed_lines: "a server writes other text between its messages",
  spread_answers: "a server writes a message over several lines",
  framed_messages: "a server writes `Content-Length` ahead of messages",
  no_numbers: "a server answered `NaN` or `Infinity`, which JSON lacks; the call failed",
  undeclared_lists: "a server does not declare the lists that it has",
  unsteady_lists: "a server's lists differ each time they are read",
  login_needed: "a server wants a [login](../use/sign-in-to-backends.md)",
  scopes_needed: "a call needs more than the login allows",
  token_not_renewed: "the login's authorization server does not answer",
  arguments_unfit: "a tool cannot have the arguments that `tool_overrides` sets; it is withheld",
  catalog_collision: "two servers offer one name, with strategy `error`",
  catalog_hidden: "several entries have one URI or name; the first is published",
  tools_changed: "a server shows entries that differ from those approved; they are published",
  tools_unsteady: "a server describes entries differently each time, so no approval lasts",
  tools_withheld: 'changed or new entries wait for approval (`pin = "block"`)',
  tools_not_pinned: "beyond 5,000 entries nothing is remembered (`block`: withheld)",
  pins_lost: "the approved entries are not known: file gone, forged, or keyring locked",
  pins_not_saved: "approved entries are kept only until the daemon ends",
  session_key_not_saved: "sessions end when the daemon is killed: their key is not kept",
  unseen_characters: "a server's texts hold invisible characters; clients get them without",
  share_away: "a share that a server requires is away",
  servers_wait: "servers wait for this share",
  waiting_for_approval: "[a change](hot-reload.md#changes-that-wait-for-you) of what runs waits for approval",
  approvals_lost: "the approvals are not known: file gone, forged, or keyring locked",
  approvals_not_saved: "approvals cannot be saved",
  roots_shared: "a server asks for folders, and all clients share its answer",
  names_lost: "switched-off tools and owners of names are not known",
  names_prefixed: "another server had these names before; they have their server's name in front",
  rule_names_one_server: "a rule's bare tool name fits several servers, and means the first one's",
  rule_matches_nothing: "a rule, filter, override, group or redaction names what no server or user has",
  names_shortened: "names that clients could not use are published under others",
  auth_token_missing: "a user's token has no value, so it lets no one in",
  session_key_missing: "a key of `[server].session_key` has no value",
  auth_open: "the gateway asks no one for a token",
  auth_keys_unavailable: "the issuer's keys could not be read: its tokens are refused",
  auth_keys_aging: "the issuer does not answer; its last keys serve for `keys_max_age`",
  telemetry_not_sent: "traces and metrics do not arrive",
  audit_not_written: "the audit cannot be written; requests are served",
};

/** What only the doctor or `verify --login` finds. */
const FINDINGS: Readonly<Record<string, string>> = {
  "secret_empty share_denied": "the password is empty, or the user may not read the share",
  secret_is_name: "a secret's value is also the name of a share or server, which is never redacted",
  no_such_share: "the server has no share of that name",
  "share_unreadable credentials_not_asked": "the share was not listed, or could not be asked for",
  "not_mounted mount_dead mount_failing last_error backend_failed gateway_not_running":
    "shares and servers, as in `mountaineer verify`",
  "host_off host_unresolved smb_refused smb_silent not_smb connection_denied folder_away":
    "the host or folder is away, is not an SMB server, or a firewall is between",
  "interface_down route_wrong_interface route_missing routes_share_interface":
    "an interface is down, or packets for a host leave by another one",
  read_ahead_fixed: "the program may not set the kernel's read-ahead",
  secrets_unreadable: "the file of secrets cannot be read",
  "home_denied home_of_another home_open file_open socket_denied writable_by_others":
    "too few permissions, or too many",
  "daemon_silent daemon_before second_daemon stale_lock stale_socket version_differs other_config":
    "the daemon is silent, was killed, is one of two, or has another version or file",
  "config_invalid config_warning config_ambiguous config_unreadable config_cut_short": "the configuration",
  "approvals_off approvals_key_in_home": "[what approvals rest on](security.md)",
  "disk_full disk_low clock_wrong clock_behind": "the disk of the home, the clock",
  "backend_program backend_url backend_folder backend_sandbox port_taken listen_denied":
    "servers and the gateway's port",
  management_open:
    "the management API listens [beyond this machine](management.md#beyond-this-machine) without TLS",
  "fleet_credentials fleet_machine fleet_permission_lacks fleet_permission_exceeds fleet_permissions_unknown":
    "[the fleet](fleet.md#permissions): credentials, a machine, permissions",
  fleet_authority_ends: "the fleet's [certificate authority](fleet.md#replace-a-machines-key) expires",
  "check_late check_failed": "a check did not end",
};

const codes = (names: string): string =>
  names
    .split(" ")
    .map((name) => `\`${name}\``)
    .join(", ");

const list = (meanings: Readonly<Record<string, string>>): string =>
  Object.entries(meanings)
    .map(([names, meaning]) => `- ${codes(names)}: ${meaning}`)
    .join("\n");

export const conditionCodes: DocumentGenerator = {
  path: "docs/reference/conditions.md",
  generate: () => `# Codes of conditions and findings

<!-- npm run docs -->

\`mountaineer status\`, \`why\` and \`doctor\` print what to do about each. These are the codes for scripts
(\`--json\`) and for the log, where a share's error begins with \`share.condition\` and ends with \`share.condition_over\`. A code
can end with its subject: \`duplicate_mount:/mnt/CORE\`.

## Findings

What only \`mountaineer doctor\` and \`mountaineer verify\` report; they also report conditions.

${list(FINDINGS)}

## Conditions

${list(CONDITIONS)}
`,
};
