// What users own at servers with an account for each: their sign-ins, and the names of their secrets. Never a value.
import type { PeopleReport, Person } from "../../api/contract/people.ts";
import { secretUses } from "../../config/read/secret-uses.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { openGrantStore } from "../../gateway/backends/server-sign-in/grant-store.ts";
import { isOwnError, recoverFrom } from "../../runtime/errors.ts";
import { isUserName, type SecretValues } from "../../secrets/reference.ts";
import type { SecretStoreOptions } from "../../secrets/secret-store.ts";
import { accountsOf, openUserSecrets } from "../../secrets/user-secrets.ts";
import { signInHome, tokensOf } from "../compose/stored-secrets.ts";

/** The report, with what each user of the file owns. A store that gives no answer leaves it unknown. */
export async function withOwn(
  report: PeopleReport,
  home: SecretStoreOptions,
  { config, values }: { readonly config: MountaineerConfig; readonly values: SecretValues },
  signal: AbortSignal,
): Promise<PeopleReport> {
  const separate = config.backends.filter(({ accounts }) => accounts === "each");
  if (separate.length === 0 || config.incomingAuth.type === "anonymous") return report;
  const known = config.incomingAuth.users;
  const servers = separate.flatMap(({ name, connection: to }) =>
    "headers" in to && Object.keys(to.headers).every((key) => !/^authorization$/i.test(key)) ? [name] : [],
  );
  const needed = secretUses({ ...config, backends: separate }).flatMap(({ reference }) =>
    reference.kind === "stored" && isUserName(reference.name) ? [reference.name.slice("user:".length)] : [],
  );
  const opened = await signInHome(home).openStore();
  let key: ReturnType<typeof opened.get> | null = null;
  /** One key of the keyring opens the files of all users, so it is asked once. */
  const get: typeof opened.get = (...given) => {
    key ??= opened.get(...given);
    return key;
  };
  const store = { ...opened, get };
  const users = openUserSecrets({ ...home, store });
  const own = async (person: Person): Promise<Person> => {
    const user = known.find(({ name }) => name === person.name);
    const tokens = user === undefined ? [] : tokensOf(user, values, home.clock.wallMs());
    if (tokens.length === 0 || person.signs_in !== "token") return person;
    const owner = { name: person.name, tokens };
    const account = { user: person.name, accounts: () => accountsOf(owner) };
    const grants = openGrantStore({ ...home, openStore: async () => store, account });
    const accountAt = async (backend: string) => {
      const grant = (await grants.has(backend)) ? await grants.read(backend, signal) : null;
      const isSignedIn = grant !== null && grant.ended === null;
      return { backend, signed_in: isSignedIn, account: grant?.accountName ?? null };
    };
    const unread = (backend: string) => recoverFrom(isOwnError, { backend, signed_in: null, account: null });
    const stored = await users.read(owner, signal).catch(recoverFrom(isOwnError, null));
    const names = [...new Set([...Object.keys(stored ?? {}), ...needed])].sort();
    return {
      ...person,
      accounts: await Promise.all(servers.map((name) => accountAt(name).catch(unread(name)))),
      secrets: names.map((name) => ({ name, is_stored: stored && Object.hasOwn(stored, name) })),
    };
  };
  return { ...report, people: await Promise.all(report.people.map(own)) };
}
