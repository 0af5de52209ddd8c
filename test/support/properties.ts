// The seed of property tests: the same in each run, so that only a change can fail one. MOUNTAINEER_TEST_SEED sets it:
// a number, or `random`, which fast-check tells when something fails.
import fc from "fast-check";

const { MOUNTAINEER_TEST_SEED: given = "20261120" } = process.env;
if (given !== "random") fc.configureGlobal({ seed: Number(given) });

export { fc };
