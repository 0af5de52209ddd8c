// Owns the properties' seed: a run is red by its change's making, not by the dice. MOUNTAINEER_TEST_SEED looks elsewhere:
// a number, or `random`, which fast-check tells when something fails.
import fc from "fast-check";

const { MOUNTAINEER_TEST_SEED: given = "20261120" } = process.env;
if (given !== "random") fc.configureGlobal({ seed: Number(given) });

export { fc };
