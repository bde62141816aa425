// `npm run build`: the release bundles, dist/{hub,agent,plumb}.js. Each runs with Node 24 and nothing beside it,
// save dist/render-worker.js and dist/verify-worker.js: the hub reads people's files, and checks many signatures, in threads
// of their own. The second holds openpgp (LGPL-3.0) and nothing else does, so that it can be exchanged. `node tools/build.js FOLDER` builds there.
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ensurePackages, explain, root } from "./setup.js";

const entries = {
  hub: "hub/start.ts",
  agent: "agent/start.ts",
  plumb: "cli/main.ts",
  "render-worker": "hub/render/render-worker.ts",
  "verify-worker": "hub/trust/verify-worker.ts",
};

await explain(async () => {
  await ensurePackages();
  const { build } = await import("rolldown");
  const dist = resolve(process.argv[2] ?? join(root, "dist"));
  for (const name of Object.keys(entries)) rmSync(join(dist, `${name}.js`), { force: true });
  for (const [name, entry] of Object.entries(entries)) {
    await build({
      input: join(root, entry),
      platform: "node",
      // Only its reader of kubeconfigs is used; its typed clients (6 MB) do nothing on import.
      treeshake: { moduleSideEffects: (id) => !id.includes("@kubernetes/client-node") },
      // One copy of each package, and classes keep the names that errors are told apart by.
      output: {
        file: join(dist, `${name}.js`),
        format: "esm",
        codeSplitting: false,
        keepNames: true,
        minify: true,
        banner: name === "plumb" ? "#!/usr/bin/env node" : "",
      },
      logLevel: "warn",
    });
    writeInAscii(join(dist, `${name}.js`));
    process.stdout.write(
      `${join(dist, `${name}.js`)} ${(statSync(join(dist, `${name}.js`)).size / 1e6).toFixed(2)} MB\n`,
    );
  }
});

/** One character beyond ASCII makes V8 keep the whole source at two bytes a character for as long as it runs. */
function writeInAscii(file) {
  const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(/[\u0080-\uffff]/g, escaped));
}
