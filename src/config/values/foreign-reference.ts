// References and commands by which other tools get a secret. They are not secrets, and Mountaineer does not fill them in.

const FORMS = [
  [/^\$\(.*\)$|^`.*`$/s, "a command of a shell, which is never run"],
  [/^op:\/\/\S/, "a reference of 1Password"],
  [
    /^(?:ref\+\w+|vault|bws?|doppler|infisical|keeper|akv|gcpsm|awssm|keyring):\/\/\S/,
    "a reference of a secret manager",
  ],
  [/^\{(?:env|file):[^{}]*\}$/, "a reference of opencode"],
  [/^\$\{[A-Za-z_]\w*(?::?[-=?+]).*\}$/s, "a variable with a default, which only shells have"],
  [/^\$\{env:[^{}]*\}$/, "a reference of VS Code; here it is `${NAME}`"],
  [/^\$[A-Z][A-Z0-9_]+$/, "a variable of a shell; here it is `${NAME}`"],
] as const;

const BEFORE = /^(?:bearer|basic|token) +/i;

/**
 * Which other tool's reference or command the text is; null: none. `lone`: of references whose place has its own form here,
 * only those without one; `address`: of an argument, only addresses.
 */
export function foreignReference(text: string, among: "all" | "lone" | "address" = "all"): string | null {
  const meant = text.replace(BEFORE, "");
  const forms = among === "all" ? FORMS : among === "lone" ? FORMS.slice(0, 3) : FORMS.slice(1, 3);
  return forms.find(([form]) => form.test(meant))?.[1] ?? null;
}

/** Whether a program fills in references itself, in the variables of what it runs: `op run -- PROGRAM`. */
export function fillsReferences(command: string, args: readonly unknown[]): boolean {
  return /(?:^|\/)(?:op|doppler|infisical)$/.test(command) && args.includes("run");
}
