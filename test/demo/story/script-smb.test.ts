// The story on real SMB, where the machine supports it.
import { missingForPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { testStory } from "../story-contract.ts";

testStory("smb", missingForPlainRig() ?? false);
