// A folder that a server may use, `pub`, beside one that it may not, and every way in which a text leads out of it.
import { mkdir, symlink, writeFile } from "node:fs/promises";

/** Below the folder that holds them all. */
export type At = (...steps: readonly string[]) => string;

/** `also-pub` leads to `pub`; `pub` has links to what is outside. */
export async function layOut(at: At): Promise<void> {
  for (const folder of ["pub/sub", "private", "public", "home/notes"])
    await mkdir(at(folder), { recursive: true });
  for (const file of ["pub/a.txt", "pub/sub/b.txt", "private/secret.txt", "home/notes/c.txt"])
    await writeFile(at(file), "x");
  await symlink(at("private"), at("pub/out"));
  await symlink(at("private/secret.txt"), at("pub/file-out"));
  await symlink(at("private/new"), at("pub/dangling"));
  await symlink(at("private"), at("pub/öut".normalize("NFD")));
  for (const name of [" spaced", "'stray"]) await symlink(at("private"), at("pub", name));
  await symlink(at("pub/loop"), at("pub/loop"));
  await symlink(at("pub"), at("also-pub"));
  await symlink(at("pub/sub"), at("pub/inner"));
}

const encoded = (text: string): string =>
  [...text].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join("");
const twice = (text: string): string => encoded(text).replaceAll("%", "%25");

const RELATIVE = String.raw`
.. ../ ../private ../private/secret.txt ./../private sub/../../private sub/.././../private
not-there/../../private out out/ ./out out/secret.txt out/new.txt out/../private/secret.txt file-out dangling
file-out/ dangling/ dangling/. loop file://host/share file://%zz %2e%2e/private %252e%252e%252fprivate
..\private ~ ~/notes/c.txt ~root ~root/x $HOME/notes //host/share / /etc/passwd etc/passwd
/proc/self/root/etc/passwd http://example.com/../../../../etc/passwd {sub,..}/../private ~\notes\c.txt
`;

/** Each leads out of `pub`, or cannot be told. */
export const OUTSIDE: readonly ((at: At) => string)[] = [
  ...RELATIVE.trim()
    .split(/\s+/)
    .map((text) => () => text),
  (at) => at("private"),
  (at) => `${at("private")}/`,
  (at) => `${at("private")}/.`,
  (at) => at("private/secret.txt"),
  (at) => at("private/not/there"),
  (at) => `${at("private")}//secret.txt`,
  (at) => `/${at("private")}`,
  (at) => `///${at("private")}`,
  (at) => `${at("private")}...`,
  (at) => at("private").toUpperCase(),
  (at) => at("public"),
  (at) => at("private-ö").normalize("NFD"),
  (at) => `${at("pub")}/../private`,
  (at) => `${at("pub")}/../private/secret.txt`,
  (at) => `${at("pub")}/sub/../../private/`,
  (at) => `${at("pub")}/..`,
  (at) => at("also-pub-not"),
  () => "öut/secret.txt".normalize("NFC"),
  (at) => at("pub/out"),
  (at) => at("pub/out/secret.txt"),
  (at) => at("pub/file-out"),
  (at) => at("pub/dangling"),
  (at) => at("pub/dangling/below"),
  (at) => at("pub/file-out/./"),
  (at) => `file://${at("pub/file-out")}/`,
  (at) => `${at("pub/dangling")}//`,
  () => " spaced/secret.txt",
  () => " 'stray/secret.txt",
  (at) => at("pub/loop/x"),
  (at) => `file://${at("private")}`,
  (at) => `FILE://${at("private/secret.txt")}`,
  (at) => `file://localhost${at("private")}`,
  (at) => `file:${at("private")}`,
  (at) => `file:///${at("private")}`,
  (at) => `file:///${encoded(at("private").slice(1))}`,
  (at) => `file:///${twice(at("private").slice(1))}`,
  (at) => `file://${at("pub")}/%2e%2e/private`,
  (at) => `file://${at("pub")}/..%2fprivate`,
  (at) => `file://${at("pub")}/?/../../private`,
  (at) => `fi\nle://${at("private")}`,
  (at) => ` ${at("private")}`,
  (at) => `${at("private")}\n`,
  (at) => `"${at("private")}"`,
  (at) => `'${at("private")}'`,
  (at) => encoded(at("private")),
  (at) => at("private").replaceAll("/", "\\"),
  (at) => at("private").replaceAll("/", "\uff0f"),
  (at) => at("private").slice(1),
  () => `${"$"}{HOME}`,
  () => `${"$"}{ELSEWHERE}/x`,
  (at) => `${at("private")}\0`,
  (at) => `${at("pub/a.txt")}\0.png`,
  (at) => `${at("pub")}/\n/../../private/secret.txt`,
  (at) => `${at("pub")}/${"x/../".repeat(2_000)}../private`,
  (at) => `${at("private")}/${"x".repeat(300)}`,
  (at) => `${at("private")}/${"x".repeat(5_000)}`,
  (at) => `${"/".repeat(100_000)}${at("private")}`,
  (at) => `${" ".repeat(100_000)}${at("private")}`,
  (at) => `${at("pub")}/${"x/../".repeat(20_000)}../private`,
  // As URL parsers and `strip` of other languages read them.
  (at) => `\u0001file://${at("private")}`,
  (at) => `\u001c${at("private")}\u0085`,
  (at) => `" ${at("private")} "`,
  (at) => `${"'".repeat(40_000)}${at("private")}`,
  (at) => `view-source:file://${at("private")}`,
  (at) => `git+file://${at("private")}`,
  (at) => `<URL:file://${at("private")}>`,
  (at) => `file://${at("private")}?${"x".repeat(40_000)}`,
  (at) => `file:///${"\n".repeat(40_000)}${at("private").slice(1)}`,
  (at) => `${at("pub")}${"/%2e".repeat(20_000)}/../private`,
  (at) => `${at("pub")}/${"x/%2e%2e/".repeat(5_000)}%2e%2e/private`,
  // Servers in C read what is before the NUL.
  (at) => `${at("private")}\0${"x".repeat(40_000)}`,
  (at) => `${at("pub/a.txt")}%00.png`,
  (at) => `file://host${at("pub/a.txt")}`,
  () => "~root/\n/../private",
  () => `${"$"}{ELSEWHERE}/\n/../x`,
  () => String.raw`\x\..\nowhere\new`,
];
