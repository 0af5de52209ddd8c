// Owns references to secrets: what a configuration holds in a secret's place, and how its value is found.

/** Where a secret's value is; never the value itself, so it may be logged, compared and shown. */
export interface SecretReference {
  readonly kind: "environment";
  /** The variable's name, without `${}`. */
  readonly variable: string;
}

export type ResolvedSecret =
  | { readonly ok: true; readonly value: string }
  /** The variable is not set. */
  | { readonly ok: false; readonly missing: string };

/** How a reference is written, for messages and docs. */
export const REFERENCE_FORM = `\${VARIABLE}`;

const ENVIRONMENT_REFERENCE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/;

/** Reads `${VARIABLE}`; null for any other text. */
export function parseReference(text: string): SecretReference | null {
  const variable = ENVIRONMENT_REFERENCE.exec(text)?.[1];
  return variable === undefined ? null : { kind: "environment", variable };
}

/** The reference as it is written in a configuration. */
export function referenceText(reference: SecretReference): string {
  return `\${${reference.variable}}`;
}

/** A variable that is set but empty is a value; only the caller may show or keep what this returns. */
export function resolveReference(
  reference: SecretReference,
  environment: Readonly<Record<string, string | undefined>>,
): ResolvedSecret {
  // Own properties only, so that `${constructor}` does not find what every object inherits.
  const value = Object.hasOwn(environment, reference.variable) ? environment[reference.variable] : undefined;
  return value === undefined ? { ok: false, missing: reference.variable } : { ok: true, value };
}
