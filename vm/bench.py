#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
Rows, verdict and plots of 'make bench', from what the guests of bench.sh measured:

    bench.py [--format table|tap] [--out FOLDER] RAW

RAW is a folder with a file for each guest. A line of it is a measurement:

    cost NAME entry=4k|2m cache=cached|eadr size=BYTES VALUE UNIT

FOLDER gets bench.json, bench.txt and the plots. With --format tap a row whose value
is beyond its gate is "not ok", and the status is 1.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys

# The table of rows. It is the only place where a goal or a gate is written.
#
#   name	of the row
#   where	which guests, entries and caches it is for, by words: a file system,
#		4k or 2m, cached or eadr, sizes (a row for each size, not only for the
#		largest)
#   value	what is judged, or divided by the reference: measurements in braces, with
#		a guest before a colon where it is not the row's own ({fs} is its file
#		system); pages, leaves (of 2 MiB) and mib are those of the row's size
#   reference	to divide by, or nothing
#   unit	of the value, and of the reference
#   goal	what is to hold in the end: "<= NUMBER" or "= NUMBER"
#   gate	what has to hold now, or make check fails. Several separated by commas:
#		the first whose words all match counts. A number is a bound of the kind
#		that the goal is. Nothing: no gate
#
# A gate is what the code reaches, and some more. Tighten it with the code.
# Which pages are free differs by guest: where one of the 16 huge pages cannot be had,
# its row grows by 8 per cent, and that of memory of other pages by 1.5.
Row = collections.namedtuple('Row', 'name where value reference unit goal gate')
ROWS = [Row(*(field.strip() for field in line.split('|'))) for line in r'''
truncate, pinned / unpinned      |           | {truncate.pinned}     | {truncate.unpinned}    | instructions | <= 1.03 | 1.02
punch, pinned / unpinned         |           | {punch.pinned}        | {punch.unpinned}       | instructions | <= 1.03 | 1.025
unlink, pinned / unpinned        |           | {unlink.pinned}       | {unlink.unpinned}      | instructions | <= 1.03 | 4k 1.02, 2m 1.03
truncate / tmpfs under a region  | cached 4k | {truncate.pinned}     | {truncate.tmpfs}       | instructions | <= 0.82 | type1 0.62, 0.50
a further region, a page         | 4k        | ({truncate.5_regions} - {truncate.1_region}) / 4 / pages  | | instructions | <= 21 | 1.0
a further region, a leaf of 2 MiB | 2m       | ({truncate.5_regions} - {truncate.1_region}) / 4 / leaves | | instructions | <= 100 | 150
a further mapping, a page        | 4k        | ({truncate.4_mappings} - {truncate.1_mappings}) / 3 / pages | | instructions | <= 21 | 1.0
a further mapping, a leaf of 2 MiB | 2m      | ({truncate.4_mappings} - {truncate.1_mappings}) / 3 / leaves | | instructions | <= 100 | 125
truncate, 2 mappings / 1         |           | {truncate.2_mappings} | {truncate.1_mappings}  | instructions | <= 1.03 | 1.02
truncate, 4 mappings / 1         |           | {truncate.4_mappings} | {truncate.1_mappings}  | instructions | <= 1.03 | 1.03
split of a leaf for one page     | 2m        | ({page.pinned} - {page.unpinned}) - ({second_page.pinned} - {second_page.unpinned}) |              | instructions | <= 3000 | 2500
punch of one page, pinned - unpinned |            | {second_page.pinned} - {second_page.unpinned} |              | instructions | <= 3000 | 3500
fsync, read pin / unpinned       |           | {fsync.read_pin}      | {fsync.unpinned}       | instructions | <= 1.05 | 1.01
fsync, write pin / unpinned      | eadr      | {fsync.write_pin}     | {fsync.unpinned}       | instructions | <= 1.05 | 1.01
fsync, write pin, a page         | cached    | ({fsync.write_pin} - {fsync.unpinned}) / pages |  | instructions | | 265
register fsdax, a page           | cached    | {register.fsdax} / pages  |                    | instructions | | 4k 180, 2m 85
register fsdax / device-dax      | cached    | {register.fsdax}      | {register.devdax}      | instructions | <= 1.02 | 4k 0.35, 2m 0.20
register fsdax / shmem           | cached    | {register.fsdax}      | {=4k register.shmem}    | instructions |         |
deregister / shmem, after a truncate | cached | {deregister.retargeted} | {=4k deregister.shmem_small} | instructions | <= 0.05 | 0.05
deregister / shmem, live, nothing to write | eadr | {deregister.fsdax} | {=cached =4k deregister.shmem_small} | instructions | <= 0.05 | 0.05
deregister, live, a page         | cached    | {deregister.fsdax} / pages |                   | instructions | | 270
register memory, on / off        | once      | {register.memory}     | {off:register.memory}  | instructions | <= 1.002 | 1.02
register a page of memory, on / off | once   | {register.memory_page} | {off:register.memory_page} | instructions | <= 1.002 | 1.06
register huge pages, on / off    | once      | {register.huge_pages} | {off:register.huge_pages} | instructions | <= 1.002 | 1.10
deregister memory, on / off      | once      | {deregister.memory}   | {off:deregister.memory} | instructions | <= 1.002 | 1.03
register beside mmap, 12 threads, on / off | once | {register.threads} | {off:register.threads} | instructions | <= 1.002 | 1.02
data path, on / off              | once      | {path}                | {off:path}             | instructions | <= 1.00 | 1.25
truncate without pins, on / off  | cached    | {truncate.unpinned}   | {off:truncate.unpinned} | instructions | <= 1.001 | 1.002
punch without pins, on / off     | cached    | {punch.unpinned}      | {off:punch.unpinned}   | instructions | <= 1.001 | 1.003
unlink without pins, on / off    | cached    | {unlink.unpinned}     | {off:unlink.unpinned}  | instructions | <= 1.001 | 1.003
fsync without pins, on / off     | cached    | {fsync.unpinned}      | {off:fsync.unpinned}   | instructions | <= 1.003 | 1.003
truncate, off / stock kernel     | cached    | {off:truncate.unpinned} | {stock:truncate.unpinned} | instructions | <= 1.000 |
punch, off / stock kernel        | cached    | {off:punch.unpinned}  | {stock:punch.unpinned} | instructions | <= 1.000 |
unlink, off / stock kernel       | cached    | {off:unlink.unpinned} | {stock:unlink.unpinned} | instructions | <= 1.000 |
fsync, off / stock kernel        | cached    | {off:fsync.unpinned}  | {stock:fsync.unpinned} | instructions | <= 1.000 |
truncate pinned, among pinned files / alone | many | {many.truncate.pinned} | {alone.truncate.pinned} | instructions | <= 1.05 | 1.05
truncate unpinned, among pinned files / alone | many | {many.truncate.unpinned} | {alone.truncate.unpinned} | instructions | <= 1.05 | 1.05
fsync, among pinned files / alone | many     | {many.fsync}          | {alone.fsync}          | instructions | <= 1.05 | 1.05
syncfs of another, among pinned files / alone | many | {many.syncfs} | {alone.syncfs}         | instructions | <= 1.05 | 1.05
register and deregister many, a region, fsdax / device-dax | | {crowd_register.fsdax.all} + {crowd_deregister.fsdax.all} | {crowd_register.devdax.all} + {crowd_deregister.devdax.all} | instructions | <= 1.5 |
register many, a region, fsdax / device-dax | | {crowd_register.fsdax.all} | {crowd_register.devdax.all} | instructions | <= 1.5 |
deregister many, a region, fsdax / device-dax | eadr | {crowd_deregister.fsdax.all} | {crowd_deregister.devdax.all} | instructions | <= 1.5 |
register many, a region, all / a quarter | | {crowd_register.fsdax.all} | {crowd_register.fsdax.quarter} | instructions | <= 1.05 |
deregister many, a region, all / a quarter | | {crowd_deregister.fsdax.all} | {crowd_deregister.fsdax.quarter} | instructions | <= 1.05 |
kernel memory, region of a page, beyond shmem | cached | {kernel_memory.page.fsdax} - {kernel_memory.page.shmem} | | bytes | <= 6144 | 6144
kernel memory, region of one extent, beyond device-dax, % | cached | ({kernel_memory.extent.fsdax} - {kernel_memory.extent.devdax}) * 100 / (pages * 4096) | | % | <= 0.25 | 0.40
truncate beside a region that is made / alone | beside | {beside.make} | {beside.make.alone}   | instructions | <= 1.05 |
truncate beside a region that ends / alone | beside | {beside.end} | {beside.end.alone}        | instructions | <= 1.05 | 1.15
truncate beside 16 readers of the list / alone | beside | {readers.16} | {readers.none}        | instructions | <= 1.05 |
truncate of a page in many ranges, a range | beside | {ranges.each} |                         | instructions | <= 2000 | 1700
flushes, truncate                | sizes     | {truncate.flushes}    |                        | flushes      | = 1 | 1
flushes, punch                   | sizes     | {punch.flushes}       |                        | flushes      | = 1 | 1
flushes, unlink                  | sizes     | {unlink.flushes}      |                        | flushes      | = 1 | 1
flushes, truncate of 5 regions   |           | {truncate.5_regions.flushes} |                 | flushes      | = 1 | 1
flushes, truncate of 4 mappings  |           | {truncate.4_mappings.flushes} |                | flushes      | = 1 | 1
growth of a page, truncate       |           | {truncate.pinned} / pages | {=smallest truncate.pinned} / smallest_pages | instructions | <= 1.05 | 1.05
growth of a page, punch          |           | {punch.pinned} / pages | {=smallest punch.pinned} / smallest_pages | instructions | <= 1.05 | 1.05
growth of a page, unlink         |           | {unlink.pinned} / pages | {=smallest unlink.pinned} / smallest_pages | instructions | <= 1.05 | 1.05
growth of a page, register       | cached    | {register.fsdax} / pages | {=smallest register.fsdax} / smallest_pages | instructions | <= 1.05 | 1.05
growth of a page, deregister     | cached    | {deregister.fsdax} / pages | {=smallest deregister.fsdax} / smallest_pages | instructions | <= 1.05 | 1.05
'''.strip().splitlines()]

Key = collections.namedtuple('Key', 'guest entry cache size')
FILE_SYSTEMS = ('xfs', 'ext4')


class Missing(Exception):
    """A row asks for what was not measured"""


def die(message):
    sys.exit(f'bench.py: {message}')


def read_measurements(folder):
    """By name, the value for each Key"""
    measured = collections.defaultdict(dict)
    line_re = re.compile(r'cost (\S+) entry=(\S+) cache=(\S+) size=(\d+) (\d+) \S+$')
    for guest in sorted(os.listdir(folder)):
        if '.' in guest:
            continue
        with open(os.path.join(folder, guest), encoding='utf-8') as lines:
            for line in lines:
                match = line_re.match(line.rstrip())
                if match:
                    key = Key(guest, match[2], match[3], int(match[4]))
                    measured[match[1]][key] = int(match[5])
    return measured


def evaluate(expression, key, smallest, measured):
    """The value of an expression of the table"""
    def value_of(match):
        text, at = match[1], key
        *words, text = text.split()
        for word in words:
            at = at._replace(**{'=cached': {'cache': 'cached'}, '=4k': {'entry': '4k'},
                                '=smallest': {'size': smallest}}[word])
        if ':' in text:
            mode, text = text.split(':')
            at = at._replace(guest=f'{at.guest}-{mode}')
        if at not in measured[text]:
            raise Missing
        return str(measured[text][at])
    text = re.sub(r'{(.*?)}', value_of, expression)
    return eval(text, {'pages': key.size / 4096, 'leaves': key.size / (1 << 21),  # pylint: disable=eval-used
                       'mib': key.size >> 20, 'smallest_pages': smallest / 4096})


def bound_holds(kind, bound, value):
    if kind == '=':
        return value == bound
    return value <= bound


def find_gate(row, key):
    """The bound of the first alternative whose words are all the key's"""
    words = set(key.guest.split('-')) | {key.entry, key.cache}
    for alternative in filter(None, (part.split() for part in row.gate.split(','))):
        if set(alternative[:-1]) <= words:
            return float(alternative[-1])
    return None


def first_name(expression):
    """The first measurement of an expression, whatever guest it is of"""
    return re.search(r'{(?:\w+:)?([^=]*?)}', expression)[1]


def keys_of(row, measured):
    """The combinations that a row is for: those for which its value was measured"""
    where = row.where.split()
    keys = set(measured[first_name(row.value)])
    for word in where:
        if word in ('4k', '2m'):
            keys = {key for key in keys if key.entry == word}
        elif word in ('cached', 'eadr'):
            keys = {key for key in keys if key.cache == word}
    # Guests with the feature off are references
    keys = {key for key in keys if '-' not in key.guest}
    by_rest = collections.defaultdict(list)
    for key in keys:
        by_rest[key._replace(size=0)].append(key.size)
    for rest in sorted(by_rest, key=lambda k: (k.guest != 'xfs', k.guest, k.entry != '4k', k.cache)):
        sizes = sorted(by_rest[rest])
        if row.name.startswith('growth') and len(sizes) < 2:
            continue
        for size in sizes if 'sizes' in where else sizes[-1:]:
            yield rest._replace(size=size), sizes[0]


def make_row(row, key, smallest, measured):
    value = evaluate(row.value, key, smallest, measured)
    reference = ratio = None
    if row.reference:
        reference = evaluate(row.reference, key, smallest, measured)
        if not reference:
            raise Missing
        ratio = value / reference
    judged = value if ratio is None else ratio
    kind, goal = row.goal.split() if row.goal else ('', None)
    gate = find_gate(row, key)
    return {
        'name': row.name,
        'guest': key.guest, 'entry': key.entry, 'cache': key.cache, 'size': key.size,
        'value': value, 'unit': row.unit, 'reference': reference, 'ratio': ratio,
        'goal': row.goal or None,
        'holds': bound_holds(kind, float(goal), judged) if goal else None,
        'gate': gate,
        'passes': bound_holds(kind or '<=', gate, judged) if gate is not None else None,
    }


def make_rows(measured):
    rows = []
    for row in ROWS:
        for key, smallest in keys_of(row, measured):
            try:
                rows.append(make_row(row, key, smallest, measured))
            except Missing:
                pass
    return rows


def number(value):
    if value is None:
        return ''
    if value == int(value) and abs(value) < 1e15:
        return f'{int(value):,}'
    return f'{value:,.1f}' if abs(value) >= 100 else f'{value:.4g}'


def describe(row):
    return (f"{row['name']}: {row['guest']}, {row['entry']}, {row['cache']}, "
            f"{row['size'] >> 20} MiB")


def table(rows):
    lines = []
    for row in rows:
        ratio = '' if row['ratio'] is None else f"{row['ratio']:.4f}"
        lines.append((describe(row), number(row['value']), number(row['reference']), ratio,
                      row['unit'], row['goal'] or '',
                      {True: 'holds', False: 'MISSED', None: ''}[row['holds']],
                      number(row['gate'])))
    head = ('row', 'value', 'reference', 'ratio', 'unit', 'goal', '', 'gate')
    widths = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
    right = (1, 2, 3, 7)
    return ''.join('  '.join(cell.rjust(widths[i]) if i in right else cell.ljust(widths[i])
                             for i, cell in enumerate(line)).rstrip() + '\n'
                   for line in [head] + lines)


def print_tap(rows):
    """Returns whether all is within its gate"""
    gated = [row for row in rows if row['gate'] is not None]
    good = bool(gated)
    print('TAP version 13')
    measured = {row['name'] for row in gated}
    for row in ROWS:
        if row.gate and row.name not in measured:
            print(f'not ok 1 {row.name}: was not measured')
            good = False
    for i, row in enumerate(gated, 1):
        judged = row['value'] if row['ratio'] is None else row['ratio']
        kind = (row['goal'] or '<=').split()[0]
        print(f"{'' if row['passes'] else 'not '}ok {i} {describe(row)}: "
              f"{number(judged)}, has to be {kind} {number(row['gate'])}")
        good &= row['passes']
    print(f'1..{len(gated)}')
    return good


# Plots

STYLE = '''
set terminal svg size 900,480 dynamic background rgb 'white' font 'sans,13'
set output '{name}.svg'
set title "{title}" noenhanced
set key outside right top Left reverse noenhanced
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
'''


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def plot(out, name, title, commands, data):
    write(os.path.join(out, f'{name}.dat'), data)
    script = STYLE.format(name=name, title=title) + commands.replace('DATA', f"'{name}.dat'")
    write(os.path.join(out, f'{name}.gp'), script)
    try:
        subprocess.run(['gnuplot', f'{name}.gp'], cwd=out, check=True)
    except FileNotFoundError:
        die('gnuplot is missing; vm/packages.sh installs it')
    except subprocess.CalledProcessError:
        die(f'gnuplot fails; its input is {out}/{name}.gp')


def plot_hooks(out, rows):
    """Bars: what pins add to a truncate, a punch, an unlink"""
    operations = ('truncate', 'punch', 'unlink')
    ratios = collections.defaultdict(dict)
    for row in rows:
        for operation in operations:
            if row['name'] == f'{operation}, pinned / unpinned':
                where = f"{row['guest']} {row['entry']} {row['cache']}"
                ratios[where][operation] = row['ratio']
    if not ratios:
        return
    data = ''.join(f'"{where}" ' + ' '.join(str(of.get(op, 'NaN')) for op in operations) + '\n'
                   for where, of in ratios.items())
    plot(out, 'hooks', 'Operation on a file under a region / the same file without pins', '''
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set boxwidth 0.9
set xtics rotate by -30 noenhanced
set ylabel 'instructions, ratio'
set logscale y 2
set yrange [0.5:*]
plot DATA using 2:xtic(1) title 'truncate', '' using 3 title 'punch', \\
     '' using 4 title 'unlink', 1.03 with lines lw 2 lc rgb 'black' title 'goal 1.03'
''', data)


def plot_growth(out, name, title, curves, measured):
    """Lines: instructions by size. A curve is a title, a measurement, a key"""
    blocks, titles = [], []
    for label, measurement, guest, entry in curves:
        points = sorted((key.size >> 20, value) for key, value in measured[measurement].items()
                        if key[:3] == (guest, entry, 'cached'))
        if len(points) > 1:
            titles.append(label)
            blocks.append(''.join(f'{mib} {value}\n' for mib, value in points))
    if not blocks:
        return
    lines = ', \\\n     '.join(f"DATA index {i} using 1:2 with linespoints lw 2 title '{label}'"
                               for i, label in enumerate(titles))
    plot(out, name, title, f'''
set logscale x 2
set logscale y
set xlabel 'MiB'
set ylabel 'instructions'
set format y '%.0s %c'
plot {lines}
''', '\n\n'.join(blocks))


def make_plots(out, rows, measured):
    plot_hooks(out, rows)
    plot_growth(out, 'truncate', 'Truncate of a whole file, by size', [
        ('XFS, pinned', 'truncate.pinned', 'xfs', '4k'),
        ('XFS, unpinned', 'truncate.unpinned', 'xfs', '4k'),
        ('ext4, pinned', 'truncate.pinned', 'ext4', '4k'),
        ('ext4, unpinned', 'truncate.unpinned', 'ext4', '4k'),
        ('tmpfs under a region', 'truncate.tmpfs', 'xfs', '4k'),
        ('XFS, 2 MiB, pinned', 'truncate.pinned', 'xfs', '2m'),
        ('XFS, 2 MiB, unpinned', 'truncate.unpinned', 'xfs', '2m'),
    ], measured)
    plot_growth(out, 'register', 'Registration, by size', [
        ('fsdax, XFS', 'register.fsdax', 'xfs', '4k'),
        ('device-dax', 'register.devdax', 'xfs', '4k'),
        ('shmem', 'register.shmem', 'xfs', '4k'),
        ('fsdax, XFS, 2 MiB', 'register.fsdax', 'xfs', '2m'),
        ('device-dax, 2 MiB', 'register.devdax', 'xfs', '2m'),
    ], measured)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--format', choices=('table', 'tap'), default='table')
    parser.add_argument('--out', required=True)
    parser.add_argument('raw')
    arguments = parser.parse_args()

    measured = read_measurements(arguments.raw)
    rows = make_rows(measured)
    if not rows:
        die(f'{arguments.raw}: no measurements')
    write(os.path.join(arguments.out, 'bench.json'), json.dumps(rows, indent=1) + '\n')
    write(os.path.join(arguments.out, 'bench.txt'), table(rows))
    if arguments.format == 'tap':
        sys.exit(not print_tap(rows))
    make_plots(arguments.out, rows, measured)
    print(table(rows), end='')
    judged = [row for row in rows if row['holds'] is not None]
    print(f"\n{sum(row['holds'] for row in judged)} of {len(judged)} goals hold; "
          f"bench.json and plots: {arguments.out}")


main()
