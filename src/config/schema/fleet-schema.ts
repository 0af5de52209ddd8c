// The keys of `[fleet]`: which machine this is among several, and the NATS servers over which they know each other.
import {
  describeFleetServer,
  describeOperator,
  EXPORT_EXPECTED,
  FLEET_SERVER_EXPECTED,
  IMPORT_EXPECTED,
  MACHINE_NAME_EXPECTED,
  OPERATOR_EXPECTED,
  parseExport,
  parseFleetServer,
  parseImport,
  parseMachineName,
  parseOperator,
  parseSharing,
  SHARING_EXPECTED,
} from "../values/fleet-values.ts";
import { optional, required } from "./schema-keys.ts";
import { list, path, reference, text } from "./value-types.ts";

export const fleetKeys = {
  name: required("sends", text("plain", parseMachineName), {
    type: "name",
    expected: MACHINE_NAME_EXPECTED,
    meaning: "What this machine is called; each has a name of its own.",
    example: '"laptop"',
  }),
  servers: required("sends", list(text("plain", parseFleetServer, { describe: describeFleetServer })), {
    expected: `a list of ${FLEET_SERVER_EXPECTED}`,
    meaning:
      "The NATS servers; the first that answers is used. Beyond this machine only TLS. The port is 4222 when none is written.",
    example: '["tls://nas.example.com:4222"]',
  }),
  credentials: required("sends", reference, {
    meaning:
      "What this machine signs in with, by reference: the seed of an nkey (`SU…`), or the text of a `.creds` file.",
    example: '"secret:fleet"',
  }),
  export: optional("sends", list(text("plain", parseExport)), {
    expected: `a list of which each is ${EXPORT_EXPECTED}`,
    absent: "none",
    meaning:
      "Backends of this machine that other machines may use. They come as user `fleet:MACHINE` with the role `fleet`; policies and limits hold for them.",
    example: '["*"]',
  }),
  import: optional("sends", list(text("plain", parseImport)), {
    expected: `a list of which each is ${IMPORT_EXPECTED}`,
    absent: "none",
    meaning:
      "Machines whose exported backends join what clients find here. A tool is called `MACHINE_TOOL`, its backend `BACKEND@MACHINE`.",
    example: '["desktop", "nas/photos"]',
  }),
  together: optional("sends", list(text("plain", parseImport)), {
    expected: `a list of which each is ${IMPORT_EXPECTED}`,
    absent: "none",
    meaning:
      "Imported machines whose tools are one with those of this one and of each other, where name, pinned digest, required shares and folders agree: a call goes where the share is mounted best. Their tools must keep no state of their own between calls.",
    example: '["desktop", "nas/photos"]',
  }),
  sessions: optional("sends", list(text("plain", parseSharing)), {
    expected: `a list of which each is ${SHARING_EXPECTED}`,
    absent: "none",
    meaning:
      "Machines that share their clients' sessions with this one, so that a load balancer may send each request to any of them. Each names the others, and all have the same users.",
    example: '["desktop"]',
  }),
  tls_ca: optional("sends", path, {
    absent: "the CAs that this machine's Node knows",
    meaning: "A PEM file with the CA that signed the servers' certificates.",
    example: '"~/.config/nats/ca.pem"',
  }),
  operator: optional("sends", text("plain", parseOperator, { describe: describeOperator }), {
    expected: OPERATOR_EXPECTED,
    absent: "no configuration of the fleet is taken",
    meaning:
      "Whose word counts in this fleet: the configuration that all machines have in common is taken if this key has signed it. `mountaineer fleet init` and `fleet join` write it.",
    example: '"UCOHWDL2EK6OFA4V2ZNCCCJXO6PSWSAPLGYTC74FSXAO2YBKHDYMDPD5"',
  }),
};
