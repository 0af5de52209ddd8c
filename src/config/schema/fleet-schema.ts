// The keys of `[fleet]`: this machine's name among several machines, and the NATS servers that connect them.
import {
  describeFleetServer,
  EXPORT_EXPECTED,
  FLEET_SERVER_EXPECTED,
  IMPORT_EXPECTED,
  MACHINE_NAME_EXPECTED,
  parseExport,
  parseFleetServer,
  parseImport,
  parseMachineName,
} from "../values/fleet-values.ts";
import { optional, required } from "./schema-keys.ts";
import { list, path, reference, text } from "./value-types.ts";

export const fleetKeys = {
  name: optional("sends", text("plain", parseMachineName), {
    type: "name",
    expected: MACHINE_NAME_EXPECTED,
    absent: "the host's name up to its first dot, cut to what a name may have",
    meaning: "This machine's name. Leave it out of a shared file.",
    example: '"laptop"',
  }),
  servers: required("sends", list(text("plain", parseFleetServer, { describe: describeFleetServer })), {
    expected: `a list of ${FLEET_SERVER_EXPECTED}`,
    meaning:
      "The NATS servers; the first that answers is used. Beyond this machine with TLS; port 4222 unless given.",
    example: '["tls://nas.example.com:4222"]',
  }),
  credentials: required("sends", reference, {
    meaning: "The seed of an nkey (`SU…`), or the text of a `.creds` file.",
    example: '"secret:fleet"',
  }),
  export: optional("sends", list(text("plain", parseExport)), {
    expected: `a list of which each is ${EXPORT_EXPECTED}`,
    absent: "none",
    meaning: "Servers that other machines may use, as the user `fleet:MACHINE` with the role `fleet`.",
    example: '["*"]',
  }),
  import: optional("sends", list(text("plain", parseImport)), {
    expected: `a list of which each is ${IMPORT_EXPECTED}`,
    absent: "none",
    meaning: "Machines whose exported servers are also published here, with tools named `MACHINE_TOOL`.",
    example: '["desktop", "nas/photos"]',
  }),
  tls_ca: optional("sends", path, {
    absent: "Node's default CAs",
    meaning: "A PEM file with the CA that signed the servers' certificates.",
    example: '"~/.mountaineer/fleet/ca.pem"',
  }),
};
