// Makes a backend of a registry's entry: asks for what the server needs, and keeps secrets as secrets.
import { escaped } from "../../clients/entry-texts.ts";
import type { TypedBackend } from "../../config/edit/new-backend.ts";
import { freeSecretName } from "../../config/secret-names.ts";
import { HIDDEN } from "../../config/shown-values.ts";
import { isSecretHeader, isSecretVariable } from "../../config/values/backend-names.ts";
import { parseSecretText } from "../../config/values/secret-text.ts";
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
import { agrees } from "../input/agreement.ts";
import type { CommandContext } from "../input/command.ts";

interface RegistryWish {
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
  const secrets = createSecrets(context, wish);
  const values = createValues(context, wish, secrets);
  let made: TypedBackend;
  let texts: ReadonlyMap<string, MadeText>;
  if (way.kind === "program") {
    values.requireKnown([...way.args.flat(), ...way.env.values()]);
    const args: string[] = [];
    for (const one of way.args) args.push(...(await values.argument(one)));
    texts = await values.table(way.env, new Set(typed.env.keys()));
    made = { ...typed, command: [way.command, ...args], env: new Map([...written(texts), ...typed.env]) };
  } else {
    values.requireKnown([way.url, ...way.headers.values()]);
    const [url = ""] = await values.argument([way.url]);
    texts = await values.table(way.headers, new Set(typed.headers.keys()));
    made = { ...typed, url, headers: new Map([...written(texts), ...typed.headers]) };
  }
  values.requireAll();
  if (!(await isAgreed(context, server, made, texts, wish.yes))) return null;
  await secrets.keep();
  return made;
}

/** A variable's value, or a header's, as the configuration has it. */
interface MadeText {
  readonly text: string;
  /** A person gave a part of it. */
  readonly isOwn: boolean;
}

function written(texts: ReadonlyMap<string, MadeText>): readonly (readonly [string, string])[] {
  return [...texts].map(([key, { text }]) => [key, text] as const);
}

/** The values of the registry's inputs: given, asked for, or the registry's own. */
function createAnswers(context: CommandContext, { given }: RegistryWish) {
  const missing: RegistryInput[] = [];
  return {
    /** null: it has no value. `isOwn`: a person gave it; otherwise the registry did. */
    async to(input: RegistryInput): Promise<MadeText | null> {
      const known = given.get(input.name);
      if (known !== undefined) return { text: known, isOwn: true };
      if (input.fallback !== null) return { text: input.fallback, isOwn: false };
      if (!input.isRequired) return null;
      if (context.ask === null || input.isSecret) {
        missing.push(input);
        return null;
      }
      const choices = input.choices.length === 0 ? "" : ` (${input.choices.join(", ")})`;
      const what = foreignLine(`${input.description ?? input.name}${choices}`, LONGEST_LINE);
      const answer = await context.ask(`${harmless(input.name)}: ${what}: `);
      if (answer === "") missing.push(input);
      return answer === "" ? null : { text: answer, isOwn: true };
    },
    /** Refuses names that are not among these inputs, such as mistyped ones. */
    requireKnown(words: readonly RegistryWord[]): void {
      const known = new Set(words.flat().flatMap((part) => (typeof part === "string" ? [] : [part.name])));
      const unknown = [...given.keys()].filter((name) => !known.has(name));
      if (unknown.length === 0) return;
      const names = [...known].map(harmless).join(", ");
      throw new MountaineerError("usage", `the server has no input ${unknown.map(harmless).join(", ")}`, {
        hint: names === "" ? "it takes none" : `its inputs: ${names}`,
      });
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

function createValues(
  context: CommandContext,
  wish: RegistryWish,
  secrets: ReturnType<typeof createSecrets>,
) {
  const answers = createAnswers(context, wish);
  /** null: a part of it has no value. */
  const joined = async (word: RegistryWord): Promise<string | null> => {
    let text = "";
    for (const part of word) {
      const value = typeof part === "string" ? part : ((await answers.to(part))?.text ?? null);
      if (value === null) return null;
      text += value;
    }
    return text;
  };
  /** The text with references to its secrets. The registry's own text stays as it is, and refers to nothing. */
  const referring = async (key: string, word: RegistryWord): Promise<MadeText | null> => {
    let text = "";
    let plain = "";
    let isOwn = false;
    let hasSecret = false;
    for (const part of word) {
      if (typeof part !== "string" && part.isSecret) {
        const reference = await secrets.referenceTo(part);
        if (reference === null) return null;
        text += `${escaped(plain)}\${${reference}}`;
        plain = "";
        hasSecret = true;
        continue;
      }
      const value = typeof part === "string" ? { text: part, isOwn: false } : await answers.to(part);
      if (value === null) return null;
      if (value.isOwn) {
        text += escaped(plain) + value.text;
        plain = "";
        isOwn = true;
      } else plain += value.text;
    }
    text += escaped(plain);
    if (hasSecret) text = text.replace(/^\$\{(secret:[^{}]*)\}$/, "$1");
    else if (isSecretAlone(text) && !(isOwn && word.length === 1)) {
      throw new MountaineerError(
        "registry_failed",
        `what the registry says of ${harmless(key)} would mean a secret that is kept here`,
      );
    }
    return { text, isOwn };
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
    /** All of it but `typed`, which a person gave. */
    async table(
      inputs: ReadonlyMap<string, RegistryWord>,
      typed: ReadonlySet<string>,
    ): Promise<ReadonlyMap<string, MadeText>> {
      const texts = new Map<string, MadeText>();
      for (const [key, word] of inputs) {
        const made = typed.has(key) ? null : await referring(key, word);
        if (made !== null) texts.set(key, made);
      }
      return texts;
    },
    requireKnown: answers.requireKnown,
    requireAll: answers.requireAll,
  };
}

function isSecretAlone(text: string): boolean {
  const reading = parseSecretText(text);
  const [part, ...more] = reading.ok ? reading.value : [];
  return typeof part === "object" && part.kind === "stored" && more.length === 0;
}

/** The secrets that the server needs; none is kept before a person has agreed. */
function createSecrets(context: CommandContext, { name: backend, given }: RegistryWish) {
  /** The names of secrets, by the inputs that they are for. */
  const names = new Map<string, string>();
  const values = new Map<string, string>();
  const keptHere = async (): Promise<ReadonlySet<string>> => {
    const { secrets } = await (await openSecrets(context)).list();
    return new Set(secrets.flatMap(({ name, kept }) => (kept === null ? [] : [name])));
  };
  return {
    /** `secret:NAME`; null: it is not required, and has no value. */
    async referenceTo({ name: input, isRequired }: RegistryInput): Promise<string | null> {
      const value = given.get(input) ?? null;
      if (value === null && !isRequired) return null;
      const known = names.get(input);
      if (known !== undefined) return `secret:${known}`;
      const kept = await keptHere();
      const isTaken = (name: string): boolean =>
        [...names.values()].includes(name) || (value !== null && kept.has(name));
      const name = freeSecretName(`${backend}-${input}`, isTaken);
      names.set(input, name);
      if (value !== null) values.set(name, value);
      else if (kept.has(name)) context.note(`it is given a secret that is kept already: ${name}`);
      else context.note(`it wants a secret: mountaineer secret set ${name}`);
      return `secret:${name}`;
    },
    async keep(): Promise<void> {
      if (values.size === 0) return;
      const keeper = await openSecrets(context);
      for (const [name, value] of values) await keeper.set(name, value, null, context.signal);
    },
  };
}

async function isAgreed(
  context: CommandContext,
  { name, version, description, isDeprecated }: RegistryServer,
  { command, url }: TypedBackend,
  texts: ReadonlyMap<string, MadeText>,
  yes: boolean,
): Promise<boolean> {
  context.note(`${harmless(name)} ${harmless(version)}: ${foreignLine(description, LONGEST_LINE)}`);
  if (isDeprecated) context.note("the registry calls it deprecated");
  context.note(
    command === null
      ? `reached at ${harmless(url ?? "")}`
      : `started as: ${command.map(shellWord).map(harmless).join(" ")}`,
  );
  // A variable decides as much about a program as an argument does.
  for (const [key, { text, isOwn }] of texts) {
    const isHidden = isOwn && (isSecretHeader(key) || isSecretVariable(key));
    context.note(`with ${harmless(key)} = ${isHidden ? HIDDEN : harmless(text)}`);
  }
  return yes || agrees(context, "Add it?");
}
