// An operator, an account and users of a nats-server in operator mode, as `nsc` makes them: JWTs signed by nkeys.
import { createHash } from "node:crypto";
import { nkeys } from "@nats-io/transport-node";

const UNLIMITED = -1;

export function makeOperator() {
  const [operator, account, system] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
  const limits = {
    ...{ subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED, conn: UNLIMITED, imports: UNLIMITED },
    ...{ exports: UNLIMITED, wildcards: true },
  };
  const stored = {
    ...{ mem_storage: UNLIMITED, disk_storage: UNLIMITED, streams: UNLIMITED, consumer: UNLIMITED },
  };
  const accountOf = (key: string, name: string, more: object): string =>
    token(operator, key, name, { type: "account", version: 2, limits: { ...limits, ...more } });
  const [key, systemKey] = [account.getPublicKey(), system.getPublicKey()];
  const accounts = [
    `${key}: "${accountOf(key, "fleet", stored)}"`,
    `${systemKey}: "${accountOf(systemKey, "SYS", {})}"`,
  ];
  return {
    /** Lines of the server's configuration. */
    config: [
      `operator: "${token(operator, operator.getPublicKey(), "operator", { type: "operator", version: 2 })}"`,
      "resolver: MEMORY",
      `system_account: ${systemKey}`,
      `resolver_preload: { ${accounts.join(", ")} }`,
    ],
    /** The text of a user's `.creds` file. */
    creds(name: string) {
      const user = nkeys.createUser();
      const nats = { type: "user", version: 2, subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED };
      return [
        "-----BEGIN NATS USER JWT-----",
        token(account, user.getPublicKey(), name, nats),
        "------END NATS USER JWT------",
        "-----BEGIN USER NKEY SEED-----",
        new TextDecoder().decode(user.getSeed()),
        "------END USER NKEY SEED------",
      ].join("\n");
    },
  };
}

function token(issuer: nkeys.KeyPair, subject: string, name: string, nats: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), sub: subject, name, nats };
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex");
  const signed = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part({ jti, ...claims })}`;
  return `${signed}.${Buffer.from(issuer.sign(new TextEncoder().encode(signed))).toString("base64url")}`;
}
