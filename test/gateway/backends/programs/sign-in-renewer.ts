// Renews the token of one backend as the daemon does, for a test that kills it in the middle. Arguments: the home and the
// server's address. Prints what came of it as one line of JSON.
import { isCredential } from "../../../../src/gateway/backends/links/link-authorization.ts";
import { SignIns } from "../../../../src/gateway/backends/sign-in/sign-ins.ts";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { openSecretStore } from "../../../../src/secrets/secret-store.ts";

const [home = "", url = ""] = process.argv.slice(2);
const clock = systemClock;
const signIns = new SignIns({
  home,
  openStore: async () => openSecretStore({ home, clock, environment: {}, keyring: null }),
  clock,
  logger: silentLogger,
  random: Math.random,
  onNotice: () => {},
});
const authorization = signIns.authorize("tickets", { url, headers: {} });
const carried = await authorization?.obtain();
if (authorization === null || carried === undefined || !isCredential(carried)) {
  throw new Error(`no token to renew: ${JSON.stringify(carried)}`);
}
const outcome = await authorization.refused({ status: 401, challenge: null, carried });
process.stdout.write(`${JSON.stringify(outcome)}\n`);
authorization[Symbol.dispose]();
signIns[Symbol.dispose]();
