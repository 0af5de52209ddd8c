// The keys of `[fleet]`: which machine this is among several, and the NATS servers over which they know each other.
import * as z from "zod";
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
} from "../fleet-values.ts";
import {
  document,
  listDoc,
  pathKey,
  REFERENCE_EXPECTED,
  readReference,
  readText,
  textDoc,
} from "./schema-keys.ts";

export const fleetSchema = z.strictObject({
  name: document(
    readText(parseMachineName),
    textDoc({
      type: "name",
      expected: MACHINE_NAME_EXPECTED,
      meaning: "What this machine is called; each has a name of its own.",
      example: '"laptop"',
    }),
  ),
  servers: document(
    z.array(readText(parseFleetServer, describeFleetServer)),
    listDoc({
      expected: `a list of ${FLEET_SERVER_EXPECTED}`,
      meaning:
        "The NATS servers; the first that answers is used. Beyond this machine only TLS. The port is 4222 when none is written.",
      example: '["tls://nas.example.com:4222"]',
    }),
  ),
  credentials: document(
    readReference(),
    textDoc({
      type: "reference",
      expected: REFERENCE_EXPECTED,
      isSecret: true,
      meaning:
        "What this machine signs in with, by reference: the seed of an nkey (`SU…`), or the text of a `.creds` file.",
      example: '"secret:fleet"',
    }),
  ),
  export: document(
    z.array(readText(parseExport)).optional(),
    listDoc({
      expected: `a list of which each is ${EXPORT_EXPECTED}`,
      absent: "none",
      meaning:
        "Backends of this machine that other machines may use. They come as user `fleet:MACHINE` with the role `fleet`; policies and limits hold for them.",
      example: '["*"]',
    }),
  ),
  import: document(
    z.array(readText(parseImport)).optional(),
    listDoc({
      expected: `a list of which each is ${IMPORT_EXPECTED}`,
      absent: "none",
      meaning:
        "Machines whose exported backends join what clients find here. A tool is called `MACHINE_TOOL`, its backend `BACKEND@MACHINE`.",
      example: '["desktop", "nas/photos"]',
    }),
  ),
  together: document(
    z.array(readText(parseImport)).optional(),
    listDoc({
      expected: `a list of which each is ${IMPORT_EXPECTED}`,
      absent: "none",
      meaning:
        "Imported machines whose tools are one with those of this one and of each other, where name, pinned digest, required shares and folders agree: a call goes where the share is mounted best. Their tools must keep no state of their own between calls.",
      example: '["desktop", "nas/photos"]',
    }),
  ),
  sessions: document(
    z.array(readText(parseSharing)).optional(),
    listDoc({
      expected: `a list of which each is ${SHARING_EXPECTED}`,
      absent: "none",
      meaning:
        "Machines that share their clients' sessions with this one, so that a load balancer may send each request to any of them. Each names the others, and all have the same users.",
      example: '["desktop"]',
    }),
  ),
  tls_ca: pathKey({
    absent: "the CAs that this machine's Node knows",
    meaning: "A PEM file with the CA that signed the servers' certificates.",
    example: '"~/.config/nats/ca.pem"',
  }),
  operator: document(
    readText(parseOperator, describeOperator).optional(),
    textDoc({
      expected: OPERATOR_EXPECTED,
      absent: "no configuration of the fleet is taken",
      meaning:
        "Whose word counts in this fleet: the configuration that all machines have in common is taken if this key has signed it. `mountaineer fleet init` and `fleet join` write it.",
      example: '"UCOHWDL2EK6OFA4V2ZNCCCJXO6PSWSAPLGYTC74FSXAO2YBKHDYMDPD5"',
    }),
  ),
});
