// The configuration of the fleet's nats-server, derived from the record: users, and the subjects that each may use.
import { isIP } from "node:net";
import { inboxOf } from "../nats/subjects.ts";
import type { FleetRecord } from "./fleet-record.ts";
import { splitAddress } from "./join-code.ts";
import { grantsOf } from "./permissions.ts";

export interface ServerPaths {
  readonly certificate: string;
  readonly key: string;
  readonly store: string;
  readonly log: string;
}

type Permissions = ReturnType<typeof grantsOf>;

export function joinSubject(id: string): string {
  return `mountaineer.join.${id}`;
}

export function guestInbox(id: string): string {
  return inboxOf(`join-${id}`);
}

/**
 * Makes the text of the configuration. The server listens on exactly the record's address if that is an IP
 * address. For a name it listens on all IPv4 addresses, because the name's address may change.
 */
export function serverConfig(record: FleetRecord, paths: ServerPaths): string {
  const { host, port } = splitAddress(record.address);
  const users = [
    ...record.members.map(({ name, key }) => userText(key, grantsOf(name, name === record.home))),
    ...record.invitations.flatMap(({ id, guest, host: answerer }) => [
      userText(guest, { publish: [joinSubject(id)], subscribe: [`${guestInbox(id)}.>`] }),
      userText(answerer, { publish: [`${guestInbox(id)}.>`], subscribe: [joinSubject(id)] }),
    ]),
  ];
  return `# Written by \`mountaineer fleet\` from fleet.json; changes here are lost.
host: ${quoted(isIP(host) === 0 ? "0.0.0.0" : host)}
port: ${port}
server_name: "mountaineer-fleet"
log_file: ${quoted(paths.log)}
logfile_size_limit: 1048576
tls {
  cert_file: ${quoted(paths.certificate)}
  key_file: ${quoted(paths.key)}
  timeout: 5
}
jetstream {
  store_dir: ${quoted(paths.store)}
  max_memory_store: 67108864
  max_file_store: 1073741824
}
authorization {
  timeout: 10
  users: [
${users.join("\n")}
  ]
}
`;
}

function userText(key: string, { publish, subscribe }: Permissions): string {
  const list = (subjects: readonly string[]): string => `[${subjects.map(quoted).join(", ")}]`;
  return `    { nkey: ${key}, permissions: { publish: { allow: ${list(publish)} }, subscribe: { allow: ${list(subscribe)} } } }`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
