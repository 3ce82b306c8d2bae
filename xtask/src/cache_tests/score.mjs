// Runs the suite in the folder of the first argument against the base URL in the second, all of it
// or the test of the third, which is then shown in full. Prints a line for each test, its parts
// parted by tabs: kind, outcome, name, what was wrong.
const [suite, base, only] = process.argv.slice(2)
const part = async (path) => await import(`file://${suite}/${path}`)
const { default: suites } = await part('tests/index.mjs')
const { runTests, getResults } = await part('test-engine/client/runner.mjs')
const { determineTestResult, resultTypes } = await part('test-engine/lib/results.mjs')

const chosen = only === undefined ? suites : suites.map((one) => ({
  ...one,
  tests: one.tests.filter((test) => test.id === only).map((test) => ({ ...test, dump: true }))
}))
await runTests(chosen, false, base)
const results = getResults()
for (const { tests } of suites) {
  for (const { id, kind = 'required' } of tests) {
    if (!(id in results)) continue
    const judged = determineTestResult(suites, id, results, only === undefined)
    const outcome = Object.keys(resultTypes).find((name) => resultTypes[name] === judged)
    const why = results[id] === true ? '' : `${results[id][1]}`.replaceAll(/\s+/g, ' ')
    console.log(['RESULT', kind, outcome, id, why].join('\t'))
  }
}
process.exit(0)
