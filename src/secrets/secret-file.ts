// The format of `secrets.json`: each secret's name with its value, or with the keyring that holds it.
import { MountaineerError } from "../runtime/errors.ts";
import { choice, object, reader, type TypeOf, text, union } from "../runtime/shape.ts";
import { isObject, jsonObject } from "../runtime/text/json-object.ts";
import { SECRET_NAME } from "../runtime/text/name-forms.ts";

const recordShape = union(
  object({ kept: choice("file"), value: text }),
  object({ kept: choice("secret-service", "keychain") }),
);
export type SecretRecord = Readonly<TypeOf<typeof recordShape>>;
const recordOf = reader(recordShape);

/** By name. */
export type SecretFile = ReadonlyMap<string, SecretRecord>;

const VERSION = 1;

/** Rejects what is not of this form with `secret_unavailable`; its content is never shown. */
export function parseSecretFile(content: string, path: string): SecretFile {
  const value = jsonObject(content);
  if (value?.["version"] === undefined) throw strange(path, "it is not a file of secrets");
  if (value["version"] !== VERSION) throw strange(path, "another version of Mountaineer wrote it");
  if (!isObject(value["secrets"])) throw strange(path, "it has no secrets");
  const file = new Map<string, SecretRecord>();
  for (const [name, entry] of Object.entries(value["secrets"])) {
    const record = recordOf(entry);
    if (record === null || !SECRET_NAME.form.test(name))
      throw strange(path, "one of its entries is not a secret");
    file.set(name, record);
  }
  return file;
}

export function secretFileText(file: SecretFile): string {
  return `${JSON.stringify({ version: VERSION, secrets: Object.fromEntries(file) }, null, 2)}\n`;
}

function strange(path: string, why: string): MountaineerError {
  return new MountaineerError("secret_unavailable", `${path} cannot be understood: ${why}`, {
    hint: "it is left as it is; move it away to begin anew, and set the secrets again",
  });
}
