// Makes a backend of a registry's entry: what the server needs is given or asked for, and secrets become references.
import { freeSecretName } from "../config/secret-names.ts";
import { escaped, parseSecretText } from "../config/values/secret-text.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { harmless, shellWord } from "../runtime/text/plain-text.ts";
import type { RegistryArgument, RegistryInput, RegistryServer, RegistryWord } from "./server-json.ts";

export interface PlanOptions {
  /** The backend's name here. */
  readonly name: string;
  /** Values of inputs, by name. Of a secret it counts only that there is one. */
  readonly given: ReadonlyMap<string, string>;
  /** Variables or headers that a person gave, which the registry says nothing about. */
  readonly typed: ReadonlySet<string>;
}

/** Whom the plan asks, and what it knows of this home. */
export interface PlanSurroundings {
  /** null: nobody can be asked. "": no answer. */
  readonly ask: ((input: RegistryInput) => Promise<string>) | null;
  readonly note: (text: string) => void;
  readonly keptSecrets: () => Promise<ReadonlySet<string>>;
}

export interface BackendPlan {
  readonly command: readonly [program: string, ...args: string[]] | null;
  readonly url: string | null;
  /** Variables of the program, or headers. */
  readonly texts: ReadonlyMap<string, MadeText>;
  /** The names that its secrets get, by the inputs that were given. */
  readonly secrets: ReadonlyMap<string, string>;
}

/** Rejects with `registry_failed`, and `usage` when a value is missing that nobody can be asked for. */
export async function planBackend(
  { name: server, way }: RegistryServer,
  options: PlanOptions,
  surroundings: PlanSurroundings,
): Promise<BackendPlan> {
  if (way.kind === "none") throw new MountaineerError("registry_failed", `${server}: ${way.why}`);
  const secrets = createSecrets(surroundings, options);
  const values = createValues(surroundings, options, secrets);
  values.requireKnown(wordsOf(way));
  if (way.kind === "program") {
    const args: string[] = [];
    for (const one of way.args) args.push(...(await values.argument(one)));
    const texts = await values.table(way.env, options.typed);
    values.requireAll();
    return { command: [way.command, ...args], url: null, texts, secrets: secrets.given };
  }
  const [url = ""] = await values.argument([way.url]);
  const texts = await values.table(way.headers, options.typed);
  values.requireAll();
  return { command: null, url, texts, secrets: secrets.given };
}

/** All that it may be given, each once. */
export function inputsOf({ way }: RegistryServer): readonly RegistryInput[] {
  if (way.kind === "none") return [];
  const inputs = wordsOf(way)
    .flat()
    .filter((part) => typeof part !== "string");
  return [...new Map(inputs.map((input) => [input.name, input])).values()];
}

function wordsOf(way: Exclude<RegistryServer["way"], { kind: "none" }>): readonly RegistryWord[] {
  return way.kind === "program"
    ? [...way.args.flat(), ...way.env.values()]
    : [way.url, ...way.headers.values()];
}

/** A variable's value, or a header's, as the configuration has it. */
export interface MadeText {
  readonly text: string;
  /** A person gave a part of it. */
  readonly isOwn: boolean;
}

/** The values of the registry's inputs: given, asked for, or the registry's own. */
function createAnswers({ ask }: PlanSurroundings, { given }: PlanOptions) {
  const missing: RegistryInput[] = [];
  return {
    /** null: it has no value. `isOwn`: a person gave it; what was only chosen, or nobody gave, are the registry's words. */
    async to(input: RegistryInput): Promise<MadeText | null> {
      const made = (text: string): MadeText => ({ text, isOwn: !input.choices.includes(text) });
      const known = given.get(input.name);
      if (known !== undefined) return made(known);
      if (input.fallback !== null) return { text: input.fallback, isOwn: false };
      if (!input.isRequired) return null;
      if (ask === null || input.isSecret) {
        missing.push(input);
        return null;
      }
      const answer = await ask(input);
      if (answer === "") missing.push(input);
      return answer === "" ? null : made(answer);
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
  surroundings: PlanSurroundings,
  options: PlanOptions,
  secrets: ReturnType<typeof createSecrets>,
) {
  const answers = createAnswers(surroundings, options);
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

/** The secrets that the server needs; none is kept here. */
function createSecrets({ note, keptSecrets }: PlanSurroundings, { name: backend, given }: PlanOptions) {
  /** The names of secrets, by the inputs that they are for. */
  const names = new Map<string, string>();
  const ofGiven = new Map<string, string>();
  return {
    given: ofGiven,
    /** `secret:NAME`; null: it is not required, and has no value. */
    async referenceTo({ name: input, isRequired }: RegistryInput): Promise<string | null> {
      const hasValue = given.has(input);
      if (!hasValue && !isRequired) return null;
      const known = names.get(input);
      if (known !== undefined) return `secret:${known}`;
      const kept = await keptSecrets();
      const isTaken = (name: string): boolean =>
        [...names.values()].includes(name) || (hasValue && kept.has(name));
      const name = freeSecretName(`${backend}-${input}`, isTaken);
      names.set(input, name);
      if (hasValue) ofGiven.set(input, name);
      else if (kept.has(name)) note(`it is given a secret that is kept already: ${name}`);
      else note(`it wants a secret: mountaineer secret set ${name}`);
      return `secret:${name}`;
    },
  };
}
