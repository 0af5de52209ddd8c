// Secrets that somebody types as a backend's values: kept outside of the configuration, or refused.

import {
  openSecretsIn,
  type TypedBackend,
  type TypedSecret,
  typedSecrets,
} from "../../config/edit/new-backend.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { entryExists } from "../../runtime/files/durable-file.ts";
import { harmless, shellWord } from "../../runtime/text/plain-text.ts";
import { openSecrets } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";

/**
 * The same backend with references in place of secrets, which are kept now. Asks at a terminal; rejects with `usage`
 * where there is none, saying what to type, and writes nothing then.
 */
export async function withoutTypedSecrets(
  context: CommandContext,
  name: string,
  typed: TypedBackend,
): Promise<TypedBackend> {
  await refuseInArguments(context, name, typed);
  const found = typedSecrets(name, typed);
  if (found.length === 0) return typed;
  const { ask } = context;
  const [first] = found;
  if (ask === null && first !== undefined) throw refusal(name, first);
  const keeper = await openSecrets(context);
  const taken = new Set((await keeper.list()).secrets.map((secret) => secret.name));
  const env = new Map(typed.env);
  const headers = new Map(typed.headers);
  for (const { table, key, value } of found) {
    const secret = freeSecretName(`${name}-${key}`, (one) => taken.has(one));
    const question = `The value of ${harmless(key)} seems to be a secret. Keep it as secret:${secret}, and not in the file? [Y/n] `;
    if (/^n/i.test((await ask?.(question)) ?? "")) continue;
    await keeper.set(secret, value, null, context.signal);
    taken.add(secret);
    const texts = table === "env" ? env : headers;
    texts.set(
      key,
      (texts.get(key) ?? "").replace(value, () => `\${secret:${secret}}`),
    );
  }
  return { ...typed, env, headers };
}

/** Arguments and addresses hold no references, and others can read them. */
async function refuseInArguments(
  { ask }: CommandContext,
  name: string,
  { command, url }: TypedBackend,
): Promise<void> {
  const words = await Promise.all((command ?? []).map(withoutBuiltFolders));
  const [found] = openSecretsIn(name, { command: words, url });
  if (found === undefined) return;
  const where = url === null ? "an argument" : "the address";
  const message = `${where} seems to hold a secret (${found.key})`;
  if (ask !== null) {
    const why = url === null ? "everybody on this machine can read arguments" : "it would stand in the file";
    if (/^y/i.test(await ask(`${message}, and ${why}. Write it all the same? [y/N] `))) return;
  }
  throw new MountaineerError("usage", `${message}; nothing was written`, {
    hint:
      url === null
        ? "give it in --env KEY=secret:NAME if the server takes it there; --allow-literal writes it as it is"
        : "give it in --header 'Authorization: Bearer secret:NAME' if the server takes it there; --allow-literal writes it as it is",
  });
}

/** An existing path may have folders that a build named by a digest; those are not secrets. */
async function withoutBuiltFolders(word: string): Promise<string> {
  if (!word.startsWith("/") || !(await entryExists(word).catch(() => false))) return word;
  return word.replaceAll(/(?<=\/)[0-9a-f]{16,64}(?=\/|$)/g, "built");
}

function refusal(name: string, { table, key }: TypedSecret): MountaineerError {
  const secret = freeSecretName(`${name}-${key}`);
  const again =
    table === "env"
      ? `--env ${shellWord(key)}=secret:${secret}`
      : `--header '${key}: ${/^authorization$/i.test(key) ? "Bearer " : ""}\${secret:${secret}}'`;
  return new MountaineerError(
    "usage",
    `the value of ${key} seems to be a secret, and has no place in the configuration; nothing was written`,
    { hint: `mountaineer secret set ${secret}, then ${again}; --allow-literal writes it as it is` },
  );
}
