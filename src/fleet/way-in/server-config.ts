// The configuration of the fleet's nats-server, derived from the record: users, and the subjects that each may use.
import { isIP } from "node:net";
import {
  askSubject,
  BUCKET,
  beatSubject,
  callSubject,
  inboxOf,
  keyInbox,
  keySubject,
  LAYER_NEWS,
  LAYER_STREAM,
  LAYER_SUBJECT,
  offerSubject,
  rollCallSubject,
  STREAM,
} from "../nats/subjects.ts";
import type { FleetRecord } from "./fleet-record.ts";
import { splitAddress } from "./join-code.ts";

export interface ServerPaths {
  readonly certificate: string;
  readonly key: string;
  readonly store: string;
  readonly log: string;
}

type Permissions = ReturnType<typeof memberPermissions>;

export function joinSubject(id: string): string {
  return `mountaineer.join.${id}`;
}

export function guestInbox(id: string): string {
  return inboxOf(`join-${id}`);
}

/** An IP address is bound exactly. For a name, every address is bound, because the name's address may change. */
export function serverConfig(record: FleetRecord, paths: ServerPaths): string {
  const { host, port } = splitAddress(record.address);
  const users = [
    ...record.members.flatMap(({ name, key, nextKey }) =>
      [key, ...(nextKey === undefined ? [] : [nextKey])].map((one) =>
        userText(one, memberPermissions(name, name === record.home)),
      ),
    ),
    ...record.invitations.flatMap(({ id, guest, host: answerer }) => [
      userText(guest, { publish: [joinSubject(id)], subscribe: [`${guestInbox(id)}.>`] }),
      userText(answerer, { publish: [`${guestInbox(id)}.>`], subscribe: [joinSubject(id)] }),
    ]),
  ];
  return `# Written by \`mountaineer fleet\` from fleet.json; what is changed here is lost.
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

/**
 * A machine reads the whole bucket of summaries and writes its own key. JetStream delivers without checking permissions,
 * so a machine may request only what it may read. The server's own machine, which has the operator's key, alone makes the
 * buckets and writes the common configuration.
 */
function memberPermissions(name: string, isHome: boolean) {
  const making = [STREAM, LAYER_STREAM].flatMap((stream) =>
    ["CREATE", "UPDATE"].map((verb) => `$JS.API.STREAM.${verb}.${stream}`),
  );
  return {
    publish: [
      `$KV.${BUCKET}.${name}`,
      beatSubject(name),
      rollCallSubject(name),
      offerSubject(name),
      askSubject(name),
      callSubject(name, "*"),
      keySubject(name),
      "$JS.API.INFO",
      `$JS.API.STREAM.INFO.${STREAM}`,
      `$JS.API.STREAM.MSG.GET.${STREAM}`,
      `$JS.API.DIRECT.GET.${STREAM}`,
      `$JS.API.DIRECT.GET.${STREAM}.>`,
      `$JS.API.CONSUMER.CREATE.${STREAM}`,
      `$JS.API.CONSUMER.CREATE.${STREAM}.>`,
      `$JS.API.CONSUMER.INFO.${STREAM}.>`,
      `$JS.API.CONSUMER.DELETE.${STREAM}.>`,
      `$JS.ACK.${STREAM}.>`,
      `$JS.FC.${STREAM}.>`,
      `$JS.API.STREAM.MSG.GET.${LAYER_STREAM}`,
      ...(isHome ? [...making, `$JS.API.STREAM.INFO.${LAYER_STREAM}`, LAYER_SUBJECT, LAYER_NEWS] : []),
      ...(isHome ? [`${keyInbox("*")}.>`] : []),
    ],
    subscribe: [
      `${inboxOf(name)}.>`,
      beatSubject("*"),
      rollCallSubject("*"),
      offerSubject("*"),
      askSubject("*"),
      callSubject("*", name),
      LAYER_NEWS,
      ...(isHome ? [keySubject("*")] : []),
    ],
  };
}

function userText(key: string, { publish, subscribe }: Permissions): string {
  const list = (subjects: readonly string[]): string => `[${subjects.map(quoted).join(", ")}]`;
  return `    { nkey: ${key}, permissions: { publish: { allow: ${list(publish)} }, subscribe: { allow: ${list(subscribe)} } } }`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
