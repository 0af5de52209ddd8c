// The seed of property tests: the same in each run, so that only a change can fail one. MOUNTAINEER_TEST_SEED sets it:
// a number, or `random`, which fast-check tells when something fails.
import fc from "fast-check";

const { MOUNTAINEER_TEST_SEED: given = "20261120" } = process.env;
if (given !== "random") fc.configureGlobal({ seed: Number(given) });

/**
 * How often a property is tried, how long a long story is, or how large a file: a quarter in `npm test`, which everybody
 * waits for, and `whole` with MOUNTAINEER_PROPERTIES=all, as `.ci/nightly properties` has it.
 */
export function runsOf(whole: number): number {
  return process.env["MOUNTAINEER_PROPERTIES"] === "all" ? whole : Math.ceil(whole / 4);
}

export { fc };

/** One kind of event of a random story, drawn as often as its weight says beside the others of a `fc.oneof`. */
export function happening<Kind extends string, Fields extends object = object>(
  weight: number,
  kind: Kind,
  fields?: { readonly [Key in keyof Fields]: fc.Arbitrary<Fields[Key]> },
) {
  // What is drawn of no fields is the empty record.
  const arbitrary = fc.record({ ...fields }).map((drawn) => ({ ...(drawn as Fields), do: kind }));
  return { weight, arbitrary };
}
