// The form over one section of the configuration file, and the edits that save the form. Pure.
import { objectOf } from "../../runtime/text/json-object.ts";
import { createNode, type FormNode, mistakeAt, sentValue } from "./form-node.ts";
import { argumentsField } from "./schema-fields.ts";

/** The values of a section, by key. */
export type Settings = Readonly<Record<string, unknown>>;

/** The form of a section with these settings in its fields. `fileSchema`: the JSON Schema of the whole file. */
export function sectionForm(fileSchema: unknown, section: string, settings: Settings): FormNode {
  const keys = propertiesOf(propertiesOf(fileSchema)[section]);
  const properties = Object.entries(keys).map(([key, property]) => [
    key,
    Object.hasOwn(settings, key) ? { ...objectOf(property), default: settings[key] } : property,
  ]);
  const required = Object.keys(settings);
  return createNode(argumentsField({ type: "object", required, properties: Object.fromEntries(properties) }));
}

function propertiesOf(schema: unknown): Settings {
  return objectOf(objectOf(schema)["properties"]);
}

/** The fields that have an error, or a value that differs from `settings`. */
export function changedFields(root: FormNode, settings: Settings): readonly FormNode[] {
  return root.children.filter(
    (child) =>
      mistakeAt(child) !== null ||
      JSON.stringify(sentValue(child)) !== JSON.stringify(settings[child.field.name]),
  );
}

/** One edit for each changed field, its value as TOML. The form must have no errors. */
export function sectionEdits(
  section: string,
  root: FormNode,
  settings: Settings,
): { key: string; value: string }[] {
  return changedFields(root, settings).map((child) => ({
    key: `${section}.${child.field.name}`,
    value: JSON.stringify(sentValue(child)),
  }));
}
