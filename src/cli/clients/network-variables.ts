// What programs need of this shell to reach the network: its proxies and its company's certificate.
import type { CommandContext } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { PROXIES, proxiesWithLogin } from "../input/shell-proxies.ts";

const NAMES = [...PROXIES, "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"];

/** Asks whether all servers' programs get those that are not in `common` yet. Only names them where no one can be asked. */
export async function offerNetworkVariables(
  { prompt, notify }: Pick<CommandContext, "prompt" | "notify">,
  common: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, string>>> {
  const withLogin = proxiesWithLogin(process.env);
  const isNew = (name: string): boolean => {
    const value = process.env[name] ?? "";
    return value !== "" && !/\p{Cc}/u.test(value) && !Object.hasOwn(common, name);
  };
  const [secret] = withLogin.filter(isNew);
  if (secret !== undefined)
    notify(
      `${secret} has a password, so only the servers that need it should get it: mountaineer secret set proxy, then mountaineer config set backends.NAME.env.${secret} secret:proxy`,
    );
  const names = NAMES.filter((name) => isNew(name) && !withLogin.includes(name));
  if (names.length === 0) return {};
  const those = names.join(", ");
  if (prompt === null) {
    notify(`the servers' programs do not get this shell's ${those}: [backend_defaults.env] gives it to them`);
    return {};
  }
  const question = `This shell has ${those}, for the network. Give it to the servers' programs, in [backend_defaults.env]?`;
  const isWanted = await isYes(prompt, question, "yes");
  return isWanted ? Object.fromEntries(names.map((name) => [name, process.env[name] ?? ""])) : {};
}
