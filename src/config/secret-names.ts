// Names for secrets, made of their purpose: a share's name, or a server's and its variable's. Pure.

const LONGEST = 64;
/** Room for a number at the end: `-2`, `-3` and so on. */
const NUMBER = 4;

/** A name that a secret may have (`isSecretName`), made of any text, and numbered while it is taken. */
export function freeSecretName(text: string, isTaken: (name: string) => boolean = () => false): string {
  const plain = text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .replace(/^[^a-z0-9]+|-+$/g, "");
  const whole = plain === "" ? "secret" : plain;
  let name = whole.slice(0, LONGEST);
  for (let count = 2; isTaken(name); count++) name = `${whole.slice(0, LONGEST - NUMBER)}-${count}`;
  return name;
}
