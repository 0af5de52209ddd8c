// A backend by what a registry says of it: asks for what the server wants, and keeps what is secret as a secret.
import { askRegistry, OFFICIAL_REGISTRY } from "../../registry/registry-client.ts";
import {
  type RegistryArgument,
  type RegistryInput,
  type RegistryServer,
  type RegistryWord,
  readServerJson,
} from "../../registry/server-json.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { foreignLine } from "../../runtime/text/foreign-line.ts";
import { harmless, shellWord } from "../../runtime/text/plain-text.ts";
import { openSecrets } from "../in-process/open.ts";
import type { TypedBackend } from "../input/backend-options.ts";
import type { CommandContext } from "../input/command.ts";

export interface RegistryWish {
  /** The backend's name here. */
  readonly name: string;
  /** The server's, in the registry. */
  readonly server: string;
  /** Values of inputs, by name. */
  readonly given: ReadonlyMap<string, string>;
  readonly yes: boolean;
}

const LONGEST_LINE = 200;

/**
 * What was typed, with the program or address of the registry's newest version. null: nobody agreed. Rejects with
 * `registry_failed`, and `usage` when a value is missing that nobody can be asked for.
 */
export async function registryBackend(
  context: CommandContext,
  wish: RegistryWish,
  typed: TypedBackend,
): Promise<TypedBackend | null> {
  const base = process.env["MOUNTAINEER_REGISTRY"] || OFFICIAL_REGISTRY;
  const server = readServerJson(await askRegistry(base, wish.server, context.signal));
  const { way } = server;
  if (way.kind === "none") throw new MountaineerError("registry_failed", `${wish.server}: ${way.why}`);
  const values = createValues(context, wish, new Set([...typed.env.keys(), ...typed.headers.keys()]));
  let made: TypedBackend;
  if (way.kind === "program") {
    const args: string[] = [];
    for (const one of way.args) args.push(...(await values.argument(one)));
    const env = new Map([...(await values.table(way.env)), ...typed.env]);
    made = { ...typed, command: [way.command, ...args], env };
  } else {
    const [url = ""] = await values.argument([way.url]);
    made = { ...typed, url, headers: new Map([...(await values.table(way.headers)), ...typed.headers]) };
  }
  values.requireAll();
  return (await isAgreed(context, server, made, wish.yes)) ? made : null;
}

function createValues(
  context: CommandContext,
  { name: backend, given }: RegistryWish,
  typed: ReadonlySet<string>,
) {
  const missing: RegistryInput[] = [];
  const answerTo = async (input: RegistryInput): Promise<string | null> => {
    const known = given.get(input.name) ?? input.fallback;
    if (known !== null && known !== undefined) return known;
    if (!input.isRequired) return null;
    if (context.ask === null || input.isSecret) {
      missing.push(input);
      return null;
    }
    const choices = input.choices.length === 0 ? "" : ` (${input.choices.join(", ")})`;
    const what = foreignLine(`${input.description ?? input.name}${choices}`, LONGEST_LINE);
    const answer = await context.ask(`${harmless(input.name)}: ${what}: `);
    if (answer === "") missing.push(input);
    return answer === "" ? null : answer;
  };
  /** null: a part of it has no value. */
  const joined = async (word: RegistryWord): Promise<string | null> => {
    let text = "";
    for (const part of word) {
      const value = typeof part === "string" ? part : await answerTo(part);
      if (value === null) return null;
      text += value;
    }
    return text;
  };
  return {
    /** Empty: a word of it has no value. */
    async argument(words: RegistryArgument): Promise<readonly string[]> {
      const secret = words.flat().find((part) => typeof part !== "string" && part.isSecret);
      if (secret !== undefined && typeof secret !== "string") {
        throw new MountaineerError(
          "usage",
          `an argument takes the secret ${secret.name}, and others can read arguments`,
          {
            hint: "give the program by hand, if the server takes it as a variable: mountaineer backends add NAME --env KEY=secret:NAME -- …",
          },
        );
      }
      const texts: string[] = [];
      for (const word of words) {
        const text = await joined(word);
        if (text === null) return [];
        texts.push(text);
      }
      return texts;
    },
    /** Secrets are references, and are kept if they were given. */
    async table(inputs: ReadonlyMap<string, RegistryWord>): Promise<ReadonlyMap<string, string>> {
      const texts = new Map<string, string>();
      for (const [key, word] of inputs) {
        if (typed.has(key)) continue;
        const secret = word.find((part) => typeof part !== "string" && part.isSecret);
        if (secret !== undefined && typeof secret !== "string") {
          if (!secret.isRequired && !given.has(secret.name)) continue;
          const reference = await kept(context, `${backend}-${secret.name}`, given.get(secret.name) ?? null);
          texts.set(
            key,
            word
              .map((part) => (part === secret ? `\${${reference}}` : part))
              .join("")
              .replace(/^\$\{(.*)\}$/, "$1"),
          );
          continue;
        }
        const text = await joined(word);
        if (text !== null) texts.set(key, text);
      }
      return texts;
    },
    requireAll(): void {
      if (missing.length === 0) return;
      const names = missing.map(({ name }) => harmless(name));
      throw new MountaineerError("usage", `the server wants a value for ${names.join(", ")}`, {
        hint: names.map((name) => `--input ${shellWord(`${name}=VALUE`)}`).join(" "),
      });
    },
  };
}

/** `secret:NAME`; says what to type where it has no value yet. */
async function kept(context: CommandContext, wanted: string, value: string | null): Promise<string> {
  const name = wanted
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .slice(0, 64);
  if (value === null) context.note(`it wants a secret: mountaineer secret set ${name}`);
  else await (await openSecrets(context)).set(name, value, null, context.signal);
  return `secret:${name}`;
}

async function isAgreed(
  context: CommandContext,
  { name, version, description, isDeprecated }: RegistryServer,
  { command, url }: TypedBackend,
  yes: boolean,
): Promise<boolean> {
  context.note(`${harmless(name)} ${harmless(version)}: ${foreignLine(description, LONGEST_LINE)}`);
  if (isDeprecated) context.note("the registry calls it deprecated");
  context.note(
    command === null
      ? `reached at ${harmless(url ?? "")}`
      : `started as: ${command.map(shellWord).map(harmless).join(" ")}`,
  );
  if (yes) return true;
  if (context.ask === null) {
    context.note("nothing was changed: --yes goes on without asking");
    return false;
  }
  if (/^(y(es)?)?$/i.test((await context.ask("Add it? [Y/n] ")).trim())) return true;
  context.note("nothing was changed");
  return false;
}
