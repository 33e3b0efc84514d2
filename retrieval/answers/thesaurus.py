"""Other words for the same thing, as people ask and as documents are written: "bike" and "bicycle", "ill"
and "sick".

Wider than the synonyms that the verifier accepts as proof: a question may be loose, an answer may not.
"""

from __future__ import annotations

from functools import lru_cache

from retrieval.terms import stem, words

# One group a line. A word may stand in several groups; groups are not joined through it.
_GROUPS = """
absence ill sick sickness illness unwell
accident crash collision damage incident
accommodation lodging sleep bed overnight bunk
address street located location
agree agreement approve approval consent permission sign sanction
allowance diem subsidy stipend supplement
altitude height elevation metres feet
answer respond response reply react reaction acknowledge
app application software program tool
applicant candidate cv resume application job-application
appointment booking reservation reserve book schedule
assembly gather muster evacuation
authority permission power entitled authorised authorized
return refund reimburse repay refunded
banknote coin cash money
bike bicycle cycle
bill invoice invoiced charge charged billed
birth newborn baby maternity paternity parental
blocked locked lock suspended
boss manager supervisor lead head
breach leak violation incident
broken defective faulty damaged fault defect
bus coach
buy purchase order acquire procure
call phone telephone ring dial extension contact
cancel cancellation withdraw call-off revoke
car vehicle automobile
cctv video camera surveillance footage recording
certificate note attestation proof document
chair head lead run preside chaired chairs
change alter amend modify update
child kid son daughter pupil children
choose select pick
chlorinated halogenated
clean wash cleaning vacuum wipe rinse
close shut closed closing
clothes clothing dress attire wear uniform garment
colleague coworker employee staff worker
compensation damages refund liability reimburse
complaint dispute grievance
confidential secret private sensitive
consignee recipient addressee receiver
consignor shipper sender
contact email phone reach write
cost price fee charge rate tariff fare
crew team staff
customer client shopper buyer
deadline due date latest closing
delete erase wipe remove destroy
deliver delivery ship shipping dispatch shipment parcel consignment
desk counter office
die death bereavement funeral dead deceased
discount reduction rebate
dismiss fire terminate sack redundancy layoff
doctor physician gp medical
doctoral phd doctorate
alcohol beverage
early before ahead
email mail e-mail message
employ hire recruit employee
employee staff worker personnel colleague
end finish expire expiry stop lapse terminate over
error fault problem failure code
exam test assessment pass
expense expenses costs spending claim
extend renew renewal prolong extension
extra additional supplement surcharge bonus
fine penalty late-fee
fix repair mend replace
fly flight plane air airline aeroplane
footwear shoe shoes boot boots
forbidden prohibited banned
free gratis no-charge
freelancer contractor self-employed
garbage waste rubbish trash
gift present
guest visitor
handicap disability disabled accessible
help assist assistance support aid desk
highest maximum top most peak reach reaches
holiday vacation leave time-off pto
home remote telecommute telework remotely
house home residence
identity badge card id
inform notify report tell alert
injury injured hurt accident
inside interior chamber
insurance cover coverage policy insured
invoice bill
join start enter become
keep store retain stored kept retention hold
laptop computer notebook pc
last duration long
late overdue delay delayed
launch release start begin
law legal statute regulation
leave depart vacate check-out exit
lend borrow loan
liquid fluid
loss lose lost
loud noise noisy volume
lowest minimum least
luggage baggage suitcase
maximum limit most highest
meet meeting conference
misplace lose lost
mobile phone smartphone cellphone
move relocate relocation moving
network vpn internet wifi
new recent recently newly joined
newcomer starter joiner new-hire
notice notify warning
pass badge permit card
password passphrase credential
pay salary wage earn paid remuneration
permission permit licence license approval request
pet animal dog
photo picture image
pill tablet medicine medication drug
pregnant maternity expecting
prize award reward
probation trial
privacy data personal
protect protection protective safety ppe
quit resign resignation leave notice
reason why because cause
reject refuse decline denied
remote home telework
rent lease hire leased
reset restart reboot
responsible charge lead accountable owner run
retire retirement pension
revenue turnover income sales
rise increase raise
salary pay wage earn income
sabbatical break
search find look
secretary assistant
send submit dispatch forward hand
spill spilt leak
shift rota roster
sick ill illness
size big large dimensions area
smoke smoking cigarette
stairs lift elevator
stolen theft lost
stop halt cease
student pupil learner
submit hand file send apply
swap exchange change
switch turn
take bring carry
tax vat duty
teach instruct train course
temperature degrees heat
train rail railway
training course
travel trip journey
unlock unlocks open
update upgrade
vendor supplier
wage salary pay
warranty guarantee
website site page portal
wedding marriage marry
"""


@lru_cache(maxsize=1)
def _groups() -> dict[str, frozenset[int]]:
    table: dict[str, set[int]] = {}
    for number, line in enumerate(_GROUPS.strip().splitlines()):
        for entry in line.split():
            roots = [stem(word) for word in words(entry)]
            if len(roots) == 1:
                table.setdefault(roots[0], set()).add(number)
    return {root: frozenset(numbers) for root, numbers in table.items()}


def are_related(one: str, other: str) -> bool:
    """Whether two stems stand in one group."""
    table = _groups()
    return not table.get(one, frozenset()).isdisjoint(table.get(other, frozenset()))
