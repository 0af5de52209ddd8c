// References and commands by which other tools get a secret. They are not secrets, and Mountaineer does not fill them in.

const FORMS = [
  [/^\$\(.*\)$|^`.*`$/s, "is a command of a shell, which is never run"],
  [/^op:\/\/\S/, "is a reference of 1Password"],
  [
    /^(?:ref\+\w+|vault|bws?|doppler|infisical|keeper|akv|gcpsm|awssm|keyring):\/\/\S/,
    "is a reference of a secret manager",
  ],
  [/^\{(?:env|file):[^{}]*\}$/, "is a reference of opencode"],
  [/^\$\{[A-Za-z_]\w*(?::?[-=?+]).*\}$/s, "has a default, which variables have only in a shell"],
] as const;

const BEFORE = /^(?:bearer|basic|token) +/i;

/**
 * Which other tool's reference or command the text is, as a sentence without a full stop; null: none. `lone`: of references
 * whose place has its own form here, only those without one; `address`: of an argument, only addresses.
 */
export function foreignReference(text: string, among: "all" | "lone" | "address" = "all"): string | null {
  const meant = text.replace(BEFORE, "");
  const forms = among === "all" ? FORMS : among === "lone" ? FORMS.slice(0, 3) : FORMS.slice(1, 3);
  const found = forms.find(([form]) => form.test(meant));
  return found === undefined ? null : `${meant} ${found[1]}`;
}
