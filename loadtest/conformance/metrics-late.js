// Metrics are made where the script is read.
// run: => 0
import { Counter, Trend } from 'k6/metrics';
import { tried } from './lib/saw.js';

const early = new Counter('early');
let added = 'no';
try { early.add(1); added = 'yes'; } catch (error) { added = 'throws'; }
let other = 'no';
try { new Trend('early'); other = 'yes'; } catch (error) { other = 'throws'; }
let times = 'no';
try { new Trend('a_time'); new Trend('a_time', true); times = 'yes'; } catch (error) { times = 'throws'; }

export default function () {
  tried('made late', () => new Counter('late') && 1);
  tried('added early', () => added);
  tried('of another kind', () => other);
  tried('of another unit', () => times);
}
