// Renews the token of one backend as the daemon does, for a test that kills it in the middle. Arguments: the home and the
// server's address. Says `ready`, waits for the end of its input, and prints what came of it as one line of JSON.
import { once } from "node:events";
import { SignIns } from "../../../../src/gateway/backends/server-sign-in/sign-ins.ts";
import { isCredential } from "../../../../src/gateway/backends/transports/transport-authorization.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { openSecretStore } from "../../../../src/secrets/secret-store.ts";

const [home = "", url = ""] = process.argv.slice(2);
const clock = systemClock;
const signIns = new SignIns({
  home,
  openStore: async () => openSecretStore({ home, clock, environment: {}, keyring: null }),
  clock,
  logger: noopLogger,
  random: Math.random,
  onNotice: () => {},
});
const authorization = signIns.authorize("tickets", { url, headers: {} });
const carried = await authorization?.obtain();
if (authorization === null || carried === undefined || !isCredential(carried)) {
  throw new Error(`no token to renew: ${JSON.stringify(carried)}`);
}
// All who have the same token begin at the same time.
process.stdout.write("ready\n");
await once(process.stdin.resume(), "end");
const outcome = await authorization.refused({ status: 401, challenge: null, credential: carried });
process.stdout.write(`${JSON.stringify(outcome)}\n`);
authorization[Symbol.dispose]();
await signIns[Symbol.asyncDispose]();
