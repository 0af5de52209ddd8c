// References to secrets: their notation in a configuration, and the look-up of their values.
import { SECRET_NAME, SECRET_NAME_FORM, VARIABLE_NAME_FORM } from "../runtime/text/name-forms.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";

/** Where a secret's value is; never the value itself, so it may be logged, compared and shown. */
export type SecretReference =
  | {
      readonly kind: "environment";
      /** The variable's name, without `${}`. */
      readonly variable: string;
    }
  | {
      readonly kind: "stored";
      /**
       * The name for `mountaineer secret set`; or `file:PATH`: the secret is a file of another program; or `user:NAME`: the
       * secret of the user whose instance it is, see `userSecretName`.
       */
      readonly name: string;
      /**
       * Rises when the secret changes, so that configurations with different values differ. Absent: the value
       * has not been read.
       */
      readonly revision?: number;
    };

type ResolvedSecret =
  | { readonly ok: true; readonly value: string }
  /** The missing key: the name of a variable that is not set, or `secret:NAME` of an unknown secret. */
  | { readonly ok: false; readonly missing: string };

/** The process's environment and, under `secret:NAME`, the stored secrets that were read. */
export type SecretValues = Readonly<Record<string, string | undefined>>;

/**
 * Whether a part of a configuration is a reference. No other part has these members, except tables in which people choose
 * the keys.
 */
export function isReference(value: object): value is SecretReference {
  if (!("kind" in value)) return false;
  if (value.kind === "environment") return "variable" in value && typeof value.variable === "string";
  return value.kind === "stored" && "name" in value && typeof value.name === "string";
}

export const REFERENCE_FORM = `\${VARIABLE}`;
export const STORED_FORM = "secret:NAME";
/** Both notations with their meaning, for messages. */
export const REFERENCE_FORMS = `\`${REFERENCE_FORM}\` (an environment variable), \`${STORED_FORM}\` (stored by \`mountaineer secret set NAME\`) or \`\${file:PATH}\` (a file)`;

/** The source of a regular expression for the path of a file with a secret, with the text before it. */
export const FILE_FORM = String.raw`file:(?:~\/|\/)[^{}\n]+`;

const STORED_PREFIX = "secret:";
const ENVIRONMENT_REFERENCE = new RegExp(`^\\$\\{(${VARIABLE_NAME_FORM})\\}$`);
const STORED_REFERENCE = new RegExp(
  `^(?:secret:(${SECRET_NAME_FORM})|\\$\\{(?:secret:(${SECRET_NAME_FORM})|(${FILE_FORM}))\\})$`,
);

/** Reads `${VARIABLE}`, `secret:NAME`, `${secret:NAME}`, or `${file:PATH}`; null for any other text. */
export function parseReference(text: string): SecretReference | null {
  const variable = ENVIRONMENT_REFERENCE.exec(text)?.[1];
  if (variable !== undefined) return { kind: "environment", variable };
  const stored = STORED_REFERENCE.exec(text);
  const name = stored?.[1] ?? stored?.[2] ?? stored?.[3];
  return name === undefined ? null : { kind: "stored", name };
}

export const USER_FORM = "${user:NAME}";

/** Reads `${user:NAME}`; null for any other text. */
export function parseUserReference(text: string): SecretReference | null {
  const name = /^\$\{user:([^{}]*)\}$/.exec(text)?.[1];
  return name === undefined || !SECRET_NAME.form.test(name) ? null : { kind: "stored", name: `user:${name}` };
}

/** Whether the name is that of a user's own secret. */
export function isUserName(name: string): boolean {
  return name.startsWith("user:");
}

/** The name, among `SecretValues`, of the secret of one user; the owner's is `user:NAME`. `account`: see `accountOf`. */
export function userSecretName(name: string, account: string | null): string {
  return account === null ? name : `${name}@${account}`;
}

/** Identifies a user's entry in the file: another entry of the same name is another account. */
export function accountOf(user: string, tokenSha256: string): string {
  return `${user}@${tokenSha256}`;
}

/** The parts of a user's secret that is missing, for messages; null: it is another secret. */
function userSecret(name: string): { readonly name: string; readonly user: string | null } | null {
  const [, own, user = null] = /^user:([^@]+)(?:@(.*)@[^@]+)?$/.exec(name) ?? [];
  return own === undefined ? null : { name: own, user };
}

function nameText(name: string): string {
  const own = userSecret(name);
  if (own === null) return name;
  const whose = own.user === null ? "the owner" : `user ${own.user}`;
  return `${own.name} of ${whose} (the owner stores it: ${setUserSecret(own)})`;
}

function setUserSecret({ name, user }: { readonly name: string; readonly user: string | null }): string {
  return user === null
    ? shellCommand`mountaineer users secret set ${name} --owner`
    : shellCommand`mountaineer users secret set ${user} ${name}`;
}

export function referenceText(reference: SecretReference): string {
  if (reference.kind === "stored" && !isSpecialName(reference.name)) return storedKey(reference.name);
  return textReference(reference);
}

/** The reference within a text: `${VARIABLE}`, `${secret:NAME}`, `${file:PATH}`. */
export function textReference(reference: SecretReference): string {
  if (reference.kind === "environment") return `\${${reference.variable}}`;
  // The log names no account, which is made from a digest of the user's token.
  const name = reference.name.replace(/^(user:[^@]+)@.*$/s, "$1");
  return `\${${isSpecialName(name) ? name : storedKey(name)}}`;
}

function isSpecialName(name: string): boolean {
  return isFileName(name) || isUserName(name);
}

/** Whether the name is that of a file instead of a stored secret. */
export function isFileName(name: string): boolean {
  return name.startsWith("file:");
}

/** The key of a stored secret among `SecretValues`. No variable can have such a name. */
export function storedKey(name: string): string {
  return `${STORED_PREFIX}${name}`;
}

/** Whether a key of `SecretValues` belongs to a stored secret, not to a variable. */
export function isStoredKey(key: string): boolean {
  return key.startsWith(STORED_PREFIX);
}

/** The key of a reference's value in `SecretValues`. */
export function referenceKey(reference: SecretReference): string {
  return reference.kind === "environment" ? reference.variable : storedKey(reference.name);
}

/** Looks up a value; an empty variable counts as a value. The result must not be shown or logged. */
export function resolveReference(reference: SecretReference, values: SecretValues): ResolvedSecret {
  const key = referenceKey(reference);
  // Own properties only, so that `${constructor}` does not find what every object inherits.
  const value = Object.hasOwn(values, key) ? values[key] : undefined;
  return value === undefined ? { ok: false, missing: key } : { ok: true, value };
}

/** A sentence without a full stop. `missing`: as in `ResolvedSecret`. */
export function oneMissingText(missing: string): string {
  if (!isStoredKey(missing)) return `the variable ${missing} is not set`;
  const name = missing.slice(STORED_PREFIX.length);
  return isFileName(name)
    ? `the secret in ${name.slice("file:".length)} cannot be read`
    : `no secret ${nameText(name)} is stored, or it cannot be read`;
}

/** A text about references without values; `missing` are keys as in `ResolvedSecret`. */
export function missingText(missing: readonly string[]): string {
  const { variables, names } = partedKeys(missing);
  const ofVariables = variables.length > 0 && `not set in the environment: ${variables.join(", ")}`;
  const ofNames = names.length > 0 && `not stored, or not readable: secret ${names.map(nameText).join(", ")}`;
  return [ofVariables, ofNames].filter(Boolean).join("; ");
}

export function missingHint(missing: readonly string[]): string {
  const { variables, names } = partedKeys(missing);
  const stored = variables.map((name) => [name, name.toLowerCase().replaceAll("_", "-")] as const);
  const set = stored.map(([name, secret]) => {
    const command = shellCommand`mountaineer secret set ${secret}`;
    return `Store it: ${command}; then write secret:${secret} for \${${name}}.`;
  });
  const commands = names.map((name) => {
    const own = userSecret(name);
    if (own !== null) return setUserSecret(own);
    return isFileName(name)
      ? `Check the file ${name.slice("file:".length)}.`
      : shellCommand`mountaineer secret set ${name}`;
  });
  return [...set, commands.join("; ")].filter(Boolean).join(" ");
}

/** The hint for giving a reference another value. */
export function changeHint(key: string): string {
  const name = isStoredKey(key) ? key.slice(STORED_PREFIX.length) : key.toLowerCase().replaceAll("_", "-");
  if (isFileName(name)) return `change the file ${name.slice("file:".length)}`;
  const set = shellCommand`mountaineer secret set ${name}`;
  return isStoredKey(key) ? set : `${set}, and write secret:${name} for \${${key}}`;
}

function partedKeys(missing: readonly string[]): { variables: readonly string[]; names: readonly string[] } {
  return {
    variables: missing.filter((key) => !isStoredKey(key)),
    names: missing.filter(isStoredKey).map((key) => key.slice(STORED_PREFIX.length)),
  };
}
