// What the secrets of a server from elsewhere are called here. Pure.

const LONGEST = 64;
/** For `-2`, `-3` and so on. */
const NUMBER = 4;

/** A name that a secret may have, made of any text, and numbered while it is taken. */
export function freeSecretName(text: string, isTaken: (name: string) => boolean): string {
  const plain = text.toLowerCase().replace(/[^a-z0-9.-]+/g, "-");
  let name = plain.slice(0, LONGEST);
  for (let count = 2; isTaken(name); count++) name = `${plain.slice(0, LONGEST - NUMBER)}-${count}`;
  return name;
}
