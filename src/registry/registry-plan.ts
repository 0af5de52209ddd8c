// Plans a backend from an entry of the registry. The user is asked for missing inputs, and secrets become references.
import { freeSecretName } from "../config/secret-names.ts";
import { escaped, isOnlyReference } from "../config/values/secret-text.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { printable, shellCommand } from "../runtime/text/plain-text.ts";
import type {
  RegistryArgument,
  RegistryInput,
  RegistryServer,
  RegistryTemplate,
  RegistryText,
} from "./server-json.ts";

export interface PlanOptions {
  readonly name: string;
  /** The values that the user gave, by the input's name. Of a secret's value, only its presence matters here. */
  readonly given: ReadonlyMap<string, string>;
  /** Names of variables or headers that the user set; the plan does not set these. */
  readonly typed: ReadonlySet<string>;
}

export interface PlanSurroundings {
  /** Asks the user for a value; "": no answer. null: there is no one to ask. */
  readonly prompt: ((input: RegistryInput) => Promise<string>) | null;
  readonly notify: (text: string) => void;
  /** The names of all secrets in this home. */
  readonly storedSecrets: () => Promise<ReadonlySet<string>>;
}

export interface BackendPlan {
  readonly command: readonly [program: string, ...args: string[]] | null;
  readonly url: string | null;
  /** Variables of the program, or headers. */
  readonly texts: ReadonlyMap<string, MadeText>;
  /** Keys: the inputs for which the user gave a secret value. Values: the names of those secrets. */
  readonly secrets: ReadonlyMap<string, string>;
}

/**
 * Plans the backend. Rejects with `registry_failed`, and with `usage` when a value is missing and nobody can
 * be asked.
 */
export async function planBackend(
  { name: server, launch }: RegistryServer,
  options: PlanOptions,
  surroundings: PlanSurroundings,
): Promise<BackendPlan> {
  if (launch.kind === "none") throw new MountaineerError("registry_failed", `${server}: ${launch.why}`);
  const values = new Values(options, surroundings);
  values.requireKnown(templatesOf(launch));
  const made: string[] = [];
  for (const templates of launch.kind === "program" ? launch.args : [[launch.url]]) {
    made.push(...(await values.argument(templates)));
  }
  const texts = await values.table(launch.kind === "program" ? launch.env : launch.headers);
  values.requireAll();
  const secrets = values.givenSecrets;
  if (launch.kind === "program") return { command: [launch.command, ...made], url: null, texts, secrets };
  return { command: null, url: made[0] ?? "", texts, secrets };
}

export function inputsOf({ launch }: RegistryServer): readonly RegistryInput[] {
  if (launch.kind === "none") return [];
  const inputs = templatesOf(launch)
    .flat()
    .filter((part) => typeof part !== "string");
  return [...new Map(inputs.map((input) => [input.name, input])).values()];
}

function templatesOf(
  launch: Exclude<RegistryServer["launch"], { kind: "none" }>,
): readonly RegistryTemplate[] {
  return launch.kind === "program"
    ? [...launch.args.flat(), ...launch.env.values()]
    : [launch.url, ...launch.headers.values()];
}

export interface MadeText {
  readonly text: string;
  /** True if the text contains text that the user gave. */
  readonly isOwn: boolean;
}

/**
 * Finds the values of a plan's inputs (given, asked for, or the registry's own), and writes texts with
 * references to secrets.
 */
class Values {
  readonly givenSecrets = new Map<string, string>();
  readonly #options: PlanOptions;
  readonly #surroundings: PlanSurroundings;
  readonly #missing: RegistryInput[] = [];
  /** The name of each secret in the plan, by input. `givenSecrets` has only the secrets whose value the user gave. */
  readonly #secrets = new Map<string, string>();

  constructor(options: PlanOptions, surroundings: PlanSurroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
  }

  /** Throws if the server has no input of a given name, for example because the name is mistyped. */
  requireKnown(templates: readonly RegistryTemplate[]): void {
    const known = new Set(templates.flat().flatMap((part) => (typeof part === "string" ? [] : [part.name])));
    const unknown = [...this.#options.given.keys()].filter((name) => !known.has(name));
    if (unknown.length === 0) return;
    const names = [...known].map(printable).join(", ");
    throw new MountaineerError("usage", `the server has no input ${unknown.map(printable).join(", ")}`, {
      hint: names === "" ? "it takes none" : `its inputs: ${names}`,
    });
  }

  requireAll(): void {
    if (this.#missing.length === 0) return;
    const names = this.#missing.map(({ name }) => printable(name));
    throw new MountaineerError("usage", `the server wants a value for ${names.join(", ")}`, {
      hint: names.map((name) => shellCommand`--input ${`${name}=VALUE`}`).join(" "),
    });
  }

  /** The words of an argument; empty if one of them has no value. */
  async argument(templates: RegistryArgument): Promise<readonly string[]> {
    const secret = templates.flat().find((part) => typeof part !== "string" && part.isSecret);
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
    for (const template of templates) {
      let text = "";
      for (const part of template) {
        const value = await this.#valueOf(part);
        if (value === null) return [];
        text += value.text;
      }
      texts.push(text);
    }
    return texts;
  }

  /** Returns the texts of the variables or headers that have a value, except those that the user has typed. */
  async table(inputs: ReadonlyMap<string, RegistryTemplate>): Promise<ReadonlyMap<string, MadeText>> {
    const texts = new Map<string, MadeText>();
    for (const [key, template] of inputs) {
      const made = this.#options.typed.has(key) ? null : await this.#textOf(key, template);
      if (made !== null) texts.set(key, made);
    }
    return texts;
  }

  /**
   * Returns the text with a reference in place of each secret. The registry's own text is escaped, so it cannot refer
   * to a secret.
   */
  async #textOf(key: string, template: RegistryTemplate): Promise<MadeText | null> {
    let text = "";
    // The registry's own text is escaped as a whole, because an escape may span two parts.
    let plain = "";
    let isOwn = false;
    let hasSecret = false;
    const append = (more: string): void => {
      text += escaped(plain) + more;
      plain = "";
    };
    for (const part of template) {
      if (typeof part !== "string" && part.isSecret) {
        const reference = await this.#referenceTo(part);
        if (reference === null) return null;
        append(`\${${reference}}`);
        hasSecret = true;
        continue;
      }
      const value = await this.#valueOf(part);
      if (value === null) return null;
      if (value.isOwn) append(value.text);
      else plain += value.text;
      isOwn ||= value.isOwn;
    }
    append("");
    if (hasSecret) text = text.replace(/^\$\{(secret:[^{}]*)\}$/, "$1");
    else if (isOnlyReference(text) && !(isOwn && template.length === 1)) {
      throw new MountaineerError(
        "registry_failed",
        `what the registry says of ${printable(key)} would mean a secret that is stored here`,
      );
    }
    return { text, isOwn };
  }

  /**
   * The value of a part; null: the input has no value. A value from the registry's list counts as the
   * registry's own text.
   */
  async #valueOf(part: RegistryText): Promise<MadeText | null> {
    if (typeof part === "string") return { text: part, isOwn: false };
    const { prompt } = this.#surroundings;
    const made = (text: string): MadeText => ({ text, isOwn: !part.choices.includes(text) });
    const known = this.#options.given.get(part.name);
    if (known !== undefined) return made(known);
    if (part.fallback !== null) return { text: part.fallback, isOwn: false };
    if (!part.isRequired) return null;
    const answer = prompt === null || part.isSecret ? "" : await prompt(part);
    if (answer !== "") return made(answer);
    this.#missing.push(part);
    return null;
  }

  /** `secret:NAME` for the input; null: the input is optional and has no value. */
  async #referenceTo({ name: input, isRequired }: RegistryInput): Promise<string | null> {
    const { notify, storedSecrets } = this.#surroundings;
    const hasValue = this.#options.given.has(input);
    if (!hasValue && !isRequired) return null;
    const known = this.#secrets.get(input);
    if (known !== undefined) return `secret:${known}`;
    const stored = await storedSecrets();
    const isTaken = (name: string): boolean =>
      [...this.#secrets.values()].includes(name) || (hasValue && stored.has(name));
    const name = freeSecretName(`${this.#options.name}-${input}`, isTaken);
    this.#secrets.set(input, name);
    if (hasValue) this.givenSecrets.set(input, name);
    else if (stored.has(name)) notify(`it is given a secret that is stored already: ${name}`);
    else notify(`it wants a secret: ${shellCommand`mountaineer secret set ${name}`}`);
    return `secret:${name}`;
  }
}
